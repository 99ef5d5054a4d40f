import { judge, type NodeReport, renderNodes, withLag } from '../../../src/cli/node-report.ts'
import { parseConfig } from '../../../src/config/load.ts'

function config(tenants: readonly string[] = ['a', 'b']) {
  const users = tenants.map((id) => `${id}: { users: { u-${id}: { password: x } } }`).join(', ')
  const text = `region: eu\nprimary: eu\nregions: { eu: { nodes: [redis://eu] }, us: { nodes: [redis://us] } }\ntenants: { ${users} }\n`
  return parseConfig(text, { file: 'x', env: {} }).config!
}
const primary: NodeReport = {
  name: 'eu:6379',
  region: 'eu',
  role: 'primary',
  version: '7.0.15',
  rttMs: 0.21,
  offset: 1000,
  skewMs: 3,
  skewErrorMs: 1,
  databases: 1,
  maxmemoryPolicy: 'noeviction',
  minReplicasToWrite: 1,
  isReplicaReadOnly: true,
  isDefaultOpen: false,
  unknown: [],
}
const replica: NodeReport = {
  ...primary,
  name: 'us:6379',
  region: 'us',
  role: 'replica',
  link: 'up',
  offset: 900,
  minReplicasToWrite: 0,
}

test('a server that listens too late to end scripts is told of where there are any', () => {
  const late = { ...primary, busyReplyMs: 5000 }
  expect(judge([late, replica], config())).toEqual([])
  const scripted = config()
  const having = { ...scripted, tenants: scripted.tenants.map((tenant) => ({ ...tenant, scripts: 'any' as const })) }
  expect(judge([late, replica], having)).toEqual([
    'eu:6379: busy-reply-threshold 5000: a script that runs for longer than upstream.timeout (2000 ms) costs everybody the connections; a lower one lets it be ended before',
  ])
  expect(judge([{ ...primary, busyReplyMs: 500 }, replica], having)).toEqual([])
})

test('two nodes as they should be give no warning', () => expect(judge([primary, replica], config())).toEqual([]))

test.each<[string, NodeReport[], string]>([
  [
    'an unreachable node',
    [primary, { name: 'us:6379', region: 'us', problem: 'no answer in time', unknown: [] }],
    'us:6379: no answer in time',
  ],
  ['no primary', [replica], 'no node is a primary: every write will be refused'],
  [
    'two primaries',
    [primary, { ...primary, name: 'us:6379' }],
    'more than one primary (eu:6379, us:6379): writes will be refused until one is left',
  ],
  ['a primary elsewhere', [{ ...primary, region: 'us' }], 'the primary is eu:6379 in us, the file says eu'],
  ['a link that is down', [primary, { ...replica, link: 'down' }], 'us:6379: its link to its primary is down'],
  ['a node that is loading', [{ ...primary, isLoading: true }], 'eu:6379: is still loading its data'],
  [
    'an open default user',
    [{ ...primary, isDefaultOpen: true }],
    'eu:6379: user default is on without a password: whoever reaches the port goes around Regis and sees every tenant',
  ],
  [
    'eviction among tenants',
    [{ ...primary, maxmemoryPolicy: 'allkeys-lru' }],
    "eu:6379: maxmemory-policy allkeys-lru: one tenant's writes evict another's keys; volatile-* or noeviction does not",
  ],
  [
    'a writable replica',
    [primary, { ...replica, isReplicaReadOnly: false }],
    'us:6379: replica-read-only is no: writes there would be lost',
  ],
  [
    'more databases',
    [{ ...primary, databases: 16 }],
    'eu:6379: databases 16: Regis uses database 0 only; databases 1 closes the others to scripts and COPY',
  ],
  [
    'a primary that writes alone',
    [{ ...primary, minReplicasToWrite: 0 }],
    'eu:6379: min-replicas-to-write 0: cut off together with a proxy, an old primary can go on taking writes and strong reads',
  ],
  ['an old server', [{ ...primary, version: '5.0.7' }], 'eu:6379: version 5.0.7: 6.2 or newer is expected'],
  [
    'a clock that is off',
    [primary, { ...replica, skewMs: -80 }],
    "us:6379: its clock is 83 ms away from the primary's: keys expire at other times there",
  ],
  [
    'what could not be asked',
    [{ ...primary, unknown: ['CONFIG GET databases'] }],
    'eu:6379: this login may not ask for CONFIG GET databases: not checked',
  ],
])('%s is warned of', (_, reports, warning) => expect(judge(reports, config())).toEqual([warning]))

test('a single tenant may evict its own keys, and a skew within the error of its measuring is none', () => {
  expect(judge([{ ...primary, maxmemoryPolicy: 'allkeys-lru' }], config(['a']))).toEqual([])
  expect(judge([primary, { ...replica, skewMs: -80, skewErrorMs: 60 }], config())).toEqual([])
})

test('lag is the distance to the primary, never below 0', () => {
  expect(withLag([primary, replica, { ...replica, offset: 1100 }]).map((it) => it.lagBytes)).toEqual([
    undefined,
    100,
    0,
  ])
  expect(withLag([replica])[0]?.lagBytes).toBeUndefined()
})

test('the table keeps its columns', () => {
  const broken: NodeReport = {
    name: 'ap-south-1.example.com:6379',
    region: 'ap',
    problem: 'nothing listens there',
    unknown: [],
  }
  expect(renderNodes(withLag([primary, replica, broken]))).toBe(
    `REGION  NODE                         ROLE     VERSION  RTT     LAG
eu      eu:6379                      primary  7.0.15   0.2 ms  -
us      us:6379                      replica  7.0.15   0.2 ms  100 B
ap      ap-south-1.example.com:6379  unreachable: nothing listens there
`,
  )
})

describe('databases of the servers', () => {
  const text = `region: eu
primary: eu
regions: { eu: { nodes: [redis://eu] } }
tenants:
  a: { isolation: { database: 3 }, users: { u-a: { password: x } } }
  b: { isolation: { database: 7 }, users: { u-b: { password: x } } }
`
  const owned = parseConfig(text, { file: 'x', env: {} }).config!

  test.each([
    [8, []],
    [7, ['databases 7: there is no database 7, so nothing of tenant b is served']],
    [
      2,
      [
        'databases 2: there is no database 3, so nothing of tenant a is served',
        'databases 2: there is no database 7, so nothing of tenant b is served',
      ],
    ],
    [16, ['databases 16: Regis uses databases up to 7; databases 8 closes the others to scripts and COPY']],
  ])('a server with %i', (databases, expected) => {
    expect(judge([{ ...primary, databases }], owned)).toEqual(expected.map((it) => `eu:6379: ${it}`))
  })
})
