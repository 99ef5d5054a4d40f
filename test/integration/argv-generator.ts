/**
 * Random commands for the key oracle: valid ones from templates that cover every option which moves or adds keys, and
 * mutated ones. Seeded, so that a failure can be run again. In a template K is a key, V a value, N a number, W any
 * argument (option words, numbers, keys, nasty bytes); `a|b` is a choice, `[...]` is optional, `x*` repeats one word.
 */
import type { CommandSpec } from '../../src/commands/spec.ts'

export type Random = () => number

/** mulberry32: small, good enough to vary tests. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export const keyNames = [
  's',
  'n',
  'l',
  'l2',
  'h',
  'set',
  'set2',
  'z',
  'z2',
  'x',
  'g',
  'hll',
  'no',
  'w_1',
  '#',
  '*',
  'streams',
  'store',
  'a b',
  "q'",
  '',
]
/** Keys of the data that keys-oracle.test.ts makes, by the ACL category of the commands that are for them. */
const keysOfKind: Record<string, readonly string[]> = {
  string: ['s', 'n', '#', ''],
  bitmap: ['s', 'n'],
  list: ['l', 'l2'],
  hash: ['h', 'h_1'],
  set: ['set', 'set2'],
  sortedset: ['z', 'z2'],
  geo: ['g'],
  stream: ['x', 'streams'],
  hyperloglog: ['hll'],
}
const values = ['v', 'a', 'b', '1', '2', '0', '-1', 'f', 'f1', '\xff\x00', 'store', 'pfx:s', '']
const numbers = ['0', '1', '2', '3', '-1', '10']
const words = [
  ...values,
  ...keyNames,
  ...['STORE', 'store\0x', 'STOREDIST', 'STREAMS', 'BY', 'GET', 'LIMIT', 'ASC', 'ALPHA', 'DB', 'REPLACE', 'COUNT'],
  ...['BLOCK', 'GROUP', 'NOACK', 'WEIGHTS', 'AGGREGATE', 'WITHSCORES', 'w_*', 'h_*->f', '#', 'nosort', '0-0', '$', '>'],
  ...['01', '+1', '4294967297', '9223372036854775808', 'x'],
]

/** Where the arity alone does not make a meaningful command. Every command without a template gets keys, then values. */
const templates: Record<string, readonly string[]> = {
  set: ['K V [GET] [NX|XX] [EX N|KEEPTTL]'],
  getex: ['K [PERSIST|EX N]'],
  lcs: ['K K [LEN|IDX]'],
  mset: ['K V', 'K V K V', 'K V K V K'],
  msetnx: ['K V', 'K V K V'],
  bitcount: ['K [N N]'],
  bitfield: ['K GET u8 0', 'K SET u8 0 N', 'K INCRBY u8 0 N GET u8 0'],
  bitfield_ro: ['K GET u8 0'],
  bitop: ['AND|OR|XOR K K*', 'NOT K K'],
  bitpos: ['K 0|1 [N]'],
  expire: ['K N [NX|GT]'],
  geoadd: ['K 13.361389 38.115556 V'],
  georadius: [
    'K 15 37 200 km [WITHDIST] [COUNT N] [ASC]',
    'K 15 37 200 km [COUNT N] STORE|STOREDIST K [ASC] [STORE K]',
  ],
  georadiusbymember: [
    'K V 200 km [WITHDIST]',
    'K V 200 km STORE|STOREDIST K [COUNT N] [STOREDIST K]',
    'K V 200 km store\0x K',
  ],
  georadius_ro: ['K 15 37 200 km [WITHDIST] [STORE K]'],
  georadiusbymember_ro: ['K V 200 km [COUNT N]'],
  geosearch: ['K FROMLONLAT 15 37 BYRADIUS 200 km [ASC]'],
  geosearchstore: ['K K FROMLONLAT 15 37 BYRADIUS 200 km [STOREDIST]'],
  hset: ['K V V', 'K V V V V'],
  linsert: ['K BEFORE|AFTER V V'],
  lmove: ['K K LEFT|RIGHT LEFT|RIGHT'],
  lmpop: ['1 K LEFT|RIGHT', '2 K K LEFT [COUNT N]', 'N K K RIGHT'],
  zmpop: ['1 K MIN|MAX', '2 K K MIN [COUNT N]', 'N K K MAX'],
  lpos: ['K V [COUNT N]'],
  sintercard: ['1 K', '2 K K [LIMIT N]', 'N K K'],
  sort: [
    'K [BY w_*|nosort|K] [LIMIT N N] [GET #|w_*|h_*->f|K] [ASC|DESC] [ALPHA]',
    'K [ALPHA] STORE K [GET #|w_*] [STORE K]',
    'K BY w_* GET h_*->f GET # LIMIT N N STORE K',
    'K LIMIT STORE K',
    'K ALPHA store\0x K GET\0 w_*',
  ],
  sort_ro: ['K [BY w_*|nosort] [LIMIT N N] [GET #|w_*] [ALPHA]', 'K [ALPHA] STORE K'],
  copy: ['K K [REPLACE]', 'K K DB 0 [REPLACE]', 'K K DB N', 'K K db\0x N'],
  restore: ['K 0 V'],
  xadd: ['K 5-N V V', 'K NOMKSTREAM MAXLEN N 6-N V V'],
  xread: [
    '[COUNT N] STREAMS K 0',
    'STREAMS K K 0 $',
    'COUNT N STREAMS K K 0 0',
    'BLOCK N STREAMS K 0',
    'streams\0x K 0',
    'STREAMS streams streams 0 0',
  ],
  xreadgroup: [
    'GROUP g c [COUNT N] [NOACK] STREAMS K >',
    'GROUP g c STREAMS K K > 0',
    'GROUP streams streams STREAMS K >',
    'COUNT N GROUP g STREAMS STREAMS K 0',
    'GROUP nogroup c STREAMS K >',
  ],
  xautoclaim: ['K g|nogroup c 0 0 [COUNT N] [JUSTID]'],
  xclaim: ['K g|nogroup c 0 1-1 [JUSTID]'],
  xack: ['K g 1-1'],
  xdel: ['K 1-1'],
  'xgroup|create': ['K g|g2 0|$ [MKSTREAM]'],
  'xgroup|createconsumer': ['K g|nogroup c2'],
  'xgroup|delconsumer': ['K g|nogroup c2'],
  'xgroup|destroy': ['K g2|nogroup'],
  'xgroup|setid': ['K g|nogroup 0'],
  'xinfo|consumers': ['K g|nogroup'],
  'xinfo|stream': ['K [FULL] [COUNT N]'],
  xpending: ['K g|nogroup [- + 10 [c]]'],
  xrange: ['K - + [COUNT N]'],
  xrevrange: ['K + - [COUNT N]'],
  xsetid: ['K 9-9'],
  xtrim: ['K MAXLEN N'],
  zadd: ['K [NX|XX] [CH] N V', 'K N V N V'],
  zdiff: ['1 K', '2 K K [WITHSCORES]', 'N K K'],
  zinter: ['1 K', '2 K K [WEIGHTS 1 2] [AGGREGATE MAX] [WITHSCORES]', 'N K K'],
  zunion: ['1 K', '2 K K [WEIGHTS 1 2] [WITHSCORES]', 'N K K'],
  zintercard: ['2 K K [LIMIT N]', 'N K K'],
  zdiffstore: ['K 1 K', 'K 2 K K', 'K N K K'],
  zinterstore: ['K 2 K K [WEIGHTS 1 2]', 'K N K K'],
  zunionstore: ['K 1 K', 'K 2 K K [AGGREGATE MIN]', 'K N K K'],
  zrange: ['K N N [REV] [WITHSCORES]'],
  zrangestore: ['K K N N', 'K K - + BYLEX'],
  zrangebylex: ['K - +'],
  zrangebyscore: ['K -inf +inf [WITHSCORES]'],
  zincrby: ['K N V'],
  hscan: ['K 0 [MATCH V]'],
  sscan: ['K 0 [COUNT N]'],
  zscan: ['K 0'],
  'memory|usage': ['K [SAMPLES N]'],
  blpop: ['K* N', 'K K K 0.01'],
  brpop: ['K* N'],
  bzpopmin: ['K* N'],
  bzpopmax: ['K* N'],
  brpoplpush: ['K K N'],
  blmove: ['K K LEFT|RIGHT LEFT|RIGHT N'],
  blmpop: ['N 1 K LEFT|RIGHT', 'N 2 K K LEFT [COUNT N]', '1 N K K RIGHT'],
  bzmpop: ['N 1 K MIN|MAX', 'N 2 K K MIN [COUNT N]', '1 N K K MAX'],
  eval: ['V 0 [V] [V]', 'V 1 K [V]', 'V 2 K K [V]', 'V N K K V'],
  eval_ro: ['V 1 K [V]', 'V N K K V'],
  evalsha: ['V 2 K K [V]', 'V N K K V'],
  evalsha_ro: ['V 0 [V]', 'V N K K V'],
  fcall: ['V 1 K [V]', 'V N K K V'],
  fcall_ro: ['V 2 K K [V]', 'V N K K V'],
  watch: ['K*'],
  // Of newer servers.
  hexpire: ['K N [NX|GT] FIELDS 1 f', 'K N FIELDS 2 f f1'],
  hpexpire: ['K N FIELDS 1 f'],
  hexpireat: ['K N FIELDS 1 f'],
  hpexpireat: ['K N FIELDS 1 f'],
  hgetex: ['K [PERSIST|EX N] FIELDS 1 f'],
  hgetdel: ['K FIELDS N f f1'],
  hsetex: ['K [FNX|FXX] [EX N|KEEPTTL] FIELDS 1 f V'],
  msetex: ['1 K V [EX N] [NX|XX]', '2 K V K V [PX N]', 'N K V K V', 'N K V EX N', '2 K 2 K 2 [KEEPTTL]'],
  sdiffcard: ['1 K', '2 K K [LIMIT N]', 'N K K'],
  sunioncard: ['1 K', '2 K K [LIMIT N]', 'N K K'],
  vadd: ['K VALUES 2 1 2 a|b'],
  vsim: ['K ELE a', 'K VALUES 2 1 0 [COUNT N]'],
  'object|encoding': ['K'],
}

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!

/** Half of the keys are of the command's own kind. */
function pickKey(random: Random, spec: CommandSpec): string {
  const kinds = spec.categories.flatMap((category) => keysOfKind[category] ?? [])
  return pick(random, kinds.length > 0 && random() < 0.6 ? kinds : keyNames)
}

function expand(random: Random, spec: CommandSpec, template: string): string[] {
  // Innermost optional parts first; a half of them stays.
  let text = template
  while (/\[[^[\]]*\]/.test(text))
    text = text.replace(/\[([^[\]]*)\]/, (_all, inner: string) => (random() < 0.5 ? inner : ''))
  return text
    .split(' ')
    .filter((word) => word !== '')
    .flatMap((word) => {
      const one = (): string => {
        const choice = pick(random, word.replace(/\*$/, (star) => (word === 'K*' ? '' : star)).split('|'))
        if (choice === 'K') return pickKey(random, spec)
        if (choice === 'V') return pick(random, values)
        if (choice === 'N' || choice.endsWith('-N')) return choice.replace('N', pick(random, numbers))
        return random() < 0.3 ? choice.toLowerCase() : choice
      }
      return word === 'K*' ? Array.from({ length: 1 + Math.floor(random() * 3) }, one) : [one()]
    })
}

function byArity(random: Random, spec: CommandSpec): string[] {
  const names = spec.name.split('|').length
  const least = Math.abs(spec.arity)
  const count = spec.arity > 0 ? least : least + Math.floor(random() * 3)
  const last = spec.keySpecs.reduce((most, keys) => {
    const at = keys.at ?? 0
    return Math.max(most, (keys.last ?? 0) < 0 ? count - 1 : at + (keys.last ?? 0))
  }, 0)
  const args: string[] = []
  for (let i = names; i < count; i++)
    args.push(i <= last ? pickKey(random, spec) : pick(random, random() < 0.5 ? values : numbers))
  return args
}

/** A command that Redis can mostly run. */
export function validArgv(random: Random, spec: CommandSpec): string[] {
  const options = templates[spec.name]
  const args = options === undefined ? byArity(random, spec) : expand(random, spec, pick(random, options))
  return [...spec.name.split('|'), ...args]
}

/** The same with one to three arguments replaced, inserted, removed, doubled or swapped; never the name. */
export function mutatedArgv(random: Random, spec: CommandSpec): string[] {
  const argv = validArgv(random, spec)
  const first = spec.name.split('|').length
  for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
    const at = first + Math.floor(random() * Math.max(1, argv.length - first))
    const how = random()
    if (how < 0.35) argv[at] = pick(random, words)
    else if (how < 0.7) argv.splice(at, 0, pick(random, words))
    else if (how < 0.8) argv.splice(at, 1)
    else if (how < 0.9 && argv[at] !== undefined) argv.splice(at, 0, argv[at])
    else if (argv[at] !== undefined && argv[at + 1] !== undefined) [argv[at], argv[at + 1]] = [argv[at + 1]!, argv[at]!]
  }
  return argv.filter((arg) => arg !== undefined)
}
