/**
 * Commands that no server we could ask has (Redis 8.2 and later), and those of modules, which do not say about themselves
 * what they check. By hand from the published syntax: only where it leaves no doubt about the keys. Arity, flags and keys
 * of the core's are compared with @ioredis/commands by a test. What live servers say is in facts-newer.generated.ts.
 */
import type { KeySpec, NewerRow } from './facts-render.ts'

const range = (at: number, last: number, step: number, flags: string): KeySpec => ({ at, last, step, limit: 0, flags })
const counted = (at: number, step: number, flags: string): KeySpec => ({ at, numkeys: 0, first: 1, step, flags })

function row(since: string, kind: string, name: string, arity: number, flags: string, keys: readonly KeySpec[]) {
  const categories = [
    /\bwrite\b/.test(flags) ? 'write' : /\breadonly\b/.test(flags) ? 'read' : '',
    kind,
    /\bfast\b/.test(flags) ? 'fast' : 'slow',
    /\bblocking\b/.test(flags) ? 'blocking' : '',
    /\badmin\b/.test(flags) ? 'admin dangerous' : '',
  ]
  const row: NewerRow = { name, arity, flags, categories: categories.filter((word) => word !== '').join(' '), since }
  return keys.length === 0 ? row : { ...row, keys }
}

/** Lines of `name arity flags...`: all have one key, their first argument. */
function oneKey(since: string, kind: string, lines: string): NewerRow[] {
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', arity, ...flags] = line.trim().split(' ')
      const keyFlags = flags.includes('readonly') ? 'RO access' : 'RW update'
      return row(since, kind, name, Number(arity), flags.join(' '), [range(1, 0, 1, keyFlags)])
    })
}

/** Lines of `name arity flags...` without keys. */
function noKey(since: string, kind: string, lines: string): NewerRow[] {
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', arity, ...flags] = line.trim().split(' ')
      return row(since, kind, name, Number(arity), flags.join(' '), [])
    })
}

const core: readonly NewerRow[] = [
  ...oneKey(
    '8.0',
    'vectorset',
    `vadd -5 write denyoom module
     vcard 2 readonly module fast
     vdim 2 readonly module fast
     vemb -3 readonly module fast
     vgetattr 3 readonly module fast
     vinfo 2 readonly module fast
     vismember 3 readonly module
     vlinks -3 readonly module fast
     vrandmember -2 readonly module
     vrem 3 write module
     vsetattr 4 write module fast
     vsim -4 readonly module`,
  ),
  ...oneKey('8.2', 'stream', 'xackdel -6 write fast\nxdelex -5 write fast'),
  ...noKey('8.4', 'dangerous', 'cluster|migration -4 admin stale no_async_loading\ntrimslots -5 write'),
  ...oneKey('8.4', 'string', 'delex -2 write fast\ndigest 2 readonly fast'),
  ...oneKey('8.4', 'vectorset', 'vrange -4 readonly module'),
  ...noKey(
    '8.6',
    '',
    `hotkeys -2
     hotkeys|get 2 admin noscript
     hotkeys|help 2 loading stale
     hotkeys|reset 2 admin noscript
     hotkeys|start -2 admin noscript
     hotkeys|stop 2 admin noscript`,
  ),
  ...oneKey('8.6', 'stream', 'xcfgset -2 write fast\nxidmprecord 5 write denyoom fast'),
  ...oneKey(
    '8.8',
    'array',
    `arcount 2 readonly fast
     ardel -3 write fast
     ardelrange -4 write
     arget 3 readonly fast
     argetrange 4 readonly
     argrep -6 readonly
     arinfo -2 readonly
     arinsert -3 write denyoom fast
     arlastitems -3 readonly
     arlen 2 readonly fast
     armget -3 readonly fast
     armset -4 write denyoom fast
     arnext 2 readonly fast
     arop -5 readonly
     arring -4 write denyoom
     arscan -4 readonly
     arseek 3 write fast
     arset -4 write denyoom fast`,
  ),
  ...oneKey('8.8', 'string', 'increx -2 write denyoom fast'),
  ...oneKey('8.8', 'stream', 'xnack -7 write fast'),
  ...noKey(
    '8.10',
    '',
    `backup 2
     backup|abort 2 admin noscript
     backup|cleanup 2 admin noscript
     backup|help 2 loading stale
     backup|list 2 admin stale
     backup|seal 2 admin noscript
     backup|start 2 admin noscript
     backup|status 2 admin stale`,
  ),
  row('8.10', 'list', 'lmovem', -5, 'write denyoom', [range(1, 1, 1, 'RW access delete insert')]),
  row('8.10', 'list', 'blmovem', -6, 'write denyoom blocking', [range(1, 1, 1, 'RW access delete insert')]),
  row('8.10', 'set', 'sdiffcard', -3, 'readonly movablekeys', [counted(1, 1, 'RO access')]),
  row('8.10', 'set', 'sunioncard', -3, 'readonly movablekeys', [counted(1, 1, 'RO access')]),
  ...noKey('8.10', 'hash', 'himport -2\nhimport|discard 3\nhimport|discardall 2\nhimport|prepare -4 denyoom'),
  row('8.10', 'hash', 'himport|set', -5, 'write denyoom', [range(2, 0, 1, 'OW update')]),
]

/** Names of a module's commands on one key. Arity: enough for the key; what is missing behind it the module says. */
function moduleRows(kind: string, flags: string, names: string): NewerRow[] {
  const lines = names.trim().split(/\s+/)
  return oneKey('8.0, module', kind, lines.map((name) => `${name} -2 ${flags} module`).join('\n'))
}

const modules: readonly NewerRow[] = [
  ...moduleRows(
    'json',
    'write denyoom',
    `json.arrappend json.arrinsert json.arrpop json.arrtrim json.clear json.del json.forget json.merge json.numincrby
     json.nummultby json.set json.strappend json.toggle`,
  ),
  ...moduleRows(
    'json',
    'readonly',
    'json.arrindex json.arrlen json.get json.objkeys json.objlen json.resp json.strlen json.type',
  ),
  row('8.0, module', 'json', 'json.mget', -3, 'readonly module', [range(1, -2, 1, 'RO access')]),
  row('8.0, module', 'json', 'json.mset', -4, 'write denyoom module', [range(1, -1, 3, 'OW update')]),
  ...moduleRows(
    'bloom',
    'write denyoom',
    `bf.add bf.insert bf.madd bf.reserve cf.add cf.addnx cf.del cf.insert cf.insertnx cf.reserve cms.incrby
     cms.initbydim cms.initbyprob tdigest.add tdigest.create tdigest.reset topk.add topk.incrby topk.reserve`,
  ),
  ...moduleRows(
    'bloom',
    'readonly',
    `bf.card bf.exists bf.info bf.mexists cf.count cf.exists cf.info cf.mexists cms.info cms.query tdigest.byrank
     tdigest.byrevrank tdigest.cdf tdigest.info tdigest.max tdigest.min tdigest.quantile tdigest.rank tdigest.revrank
     tdigest.trimmed_mean topk.count topk.info topk.list topk.query`,
  ),
  ...['cms.merge', 'tdigest.merge'].map((name) =>
    row('8.0, module', 'bloom', name, -4, 'write denyoom module', [
      range(1, 0, 1, 'OW update'),
      counted(2, 1, 'RO access'),
    ]),
  ),
  ...moduleRows('timeseries', 'write denyoom', 'ts.add ts.alter ts.create ts.decrby ts.del ts.incrby'),
  ...moduleRows('timeseries', 'readonly', 'ts.get ts.range ts.revrange'),
  row('8.0, module', 'timeseries', 'ts.madd', -4, 'write denyoom module', [range(1, -1, 3, 'RW update')]),
]

/** A rule between two series, a search over all of them, a payload, an index over the keyspace: refused by name. */
const refusedModules: readonly NewerRow[] = `bf.debug bf.loadchunk bf.scandump cf.compact cf.debug cf.loadchunk
  cf.scandump json.debug ts.createrule ts.deleterule ts.info ts.mget ts.mrange ts.mrevrange ts.queryindex ft._list
  ft.aggregate ft.aliasadd ft.aliasdel ft.aliasupdate ft.alter ft.config ft.create ft.cursor ft.dictadd ft.dictdel
  ft.dictdump ft.dropindex ft.explain ft.explaincli ft.hybrid ft.info ft.profile ft.search ft.spellcheck ft.sugadd
  ft.sugdel ft.sugget ft.suglen ft.syndump ft.synupdate ft.tagvals`
  .split(/\s+/)
  .map((name) => row('8.0, module', '', name, -1, 'module', []))

export const newerByHand: readonly NewerRow[] = [...core, ...modules, ...refusedModules]

/** Releases that the servers which were asked could not tell. */
export const sinceByHand: Readonly<Record<string, string>> = {
  'cluster|slot-stats': '8.2, Valkey 8.0',
  'cluster|syncslots': '8.4, Valkey 9.0',
  msetex: '8.4, Valkey 9.1',
}
