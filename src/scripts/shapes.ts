/**
 * Where the keys of each command stand, for the Lua prelude. Made from the command table, so there is one list of facts.
 * Most commands have one key, their first argument; a script tells those by comparing names, which costs nothing to set
 * up. The others are one string, ` mset=r1,-1,2 lmpop=n2,0,1f ...`, in which a name is found by a plain search; a table
 * would have to be built anew in every run of every script.
 *
 *   k c          one key, or a channel, the first argument
 *   rF,L,S       keys from F to L (negative: from the end) in steps of S
 *   nA,D,S       a count at A, then that many keys in steps of S; D: a destination key, 0: none
 *   x q gO       the finders of keys.ts for streams, SORT, and GEORADIUS with options from O
 *
 * Behind it `f`: the reply's first element is a key; `s`: it names streams; `e`: its errors may hold a key. A name that is
 * not here has no keys, is unknown, or is denied: it goes as it is, and what it may touch is the Redis user's affair.
 */
import { assert } from '../base/assert.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { type CommandSpec, FINDER, KEYS, REPLY } from '../commands/spec.ts'

/** A channel stands where others have a key, and takes the tenant's prefix, whatever the database. */
const channelCommands = ['publish', 'spublish']

/** Compared first: what scripts call most. The order changes nothing else. */
const commonest =
  `get set hget hset incr expire zadd hmset hgetall rpush lpush lrem zrem zscore incrby hincrby pexpire ttl
  pttl hdel setex sadd srem xadd publish lrange zrange zrangebyscore hmget hexists llen zcard lpop rpop`.split(/\s+/)

export interface LuaShapes {
  /** One key, the first argument, and a reply without names. */
  readonly single: readonly string[]
  /** Nothing but keys. */
  readonly all: readonly string[]
  /** ` name=shape` each, with a blank at the end. */
  readonly others: string
}

/** The shape of one command; undefined where there is nothing to find. */
function shapeOf(table: CommandTable, spec: CommandSpec): string | undefined {
  const { id } = spec
  const mode = table.keyMode[id]
  if (mode === KEYS.none) return undefined
  const [first, last, step] = [table.keyFirst[id]!, table.keyLast[id]!, table.keyStep[id]!]
  const reply = table.replyMode[id]!
  const suffix =
    reply === REPLY.firstElement ? 'f' : reply === REPLY.streams ? 's' : reply === REPLY.errorNames ? 'e' : ''
  if (mode === KEYS.range) return `${first === 1 && last === 1 ? 'k' : `r${first},${last},${step}`}${suffix}`
  switch (table.finder[id]) {
    case FINDER.numkeys:
      return `n${first},${last},${step}${suffix}`
    case FINDER.streams:
      return `x${suffix}`
    case FINDER.sort:
      return `q${suffix}`
    case FINDER.geostore:
      return `g${first}${suffix}`
    case FINDER.move:
      return `k${suffix}`
    case FINDER.copy:
      return `r1,2,1${suffix}`
    default:
      return undefined
  }
}

/** What a script may call with keys in it. */
export function luaShapes(table: CommandTable): LuaShapes {
  const shapes = new Map<string, string>()
  for (const spec of table.specs) {
    // What Redis refuses in scripts needs no shape, nor what no tenant may call.
    if (spec.flags.includes('noscript') || spec.answer === 'denied') continue
    const shape = shapeOf(table, spec)
    if (shape === undefined) continue
    // A container is one command to redis.call: its keyed subcommands must be alike.
    const name = spec.name.split('|')[0]!
    const known = shapes.get(name)
    const merged = known === undefined || known.startsWith(shape) ? (known ?? shape) : shape
    assert(
      known === undefined || merged.replace(/[fse]$/, '') === known.replace(/[fse]$/, ''),
      `two key shapes: ${name}`,
    )
    shapes.set(name, merged)
  }
  for (const name of channelCommands) shapes.set(name, 'c')
  const having = (wanted: string): string[] => [...shapes].flatMap(([name, shape]) => (shape === wanted ? [name] : []))
  const single = having('k')
  const all = having('r1,-1,1')
  const others = [...shapes].filter(([, shape]) => shape !== 'k' && shape !== 'r1,-1,1')
  return {
    single: [
      ...commonest.filter((name) => single.includes(name)),
      ...single.filter((name) => !commonest.includes(name)),
    ],
    all,
    others: ` ${others.map(([name, shape]) => `${name}=${shape}`).join(' ')} `,
  }
}
