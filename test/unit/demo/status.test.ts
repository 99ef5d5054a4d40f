import { median, parseMetrics, type Reading, readMetrics, statusLine } from '../../../src/demo/status.ts'

const page = `# HELP regis_commands_total Commands.
# TYPE regis_commands_total counter
regis_commands_total{tenant="shop",kind="read",outcome="ok"} 90
regis_commands_total{tenant="shop",kind="write",outcome="error"} 10
regis_reads_total{tenant="shop",region="us-east",source="local"} 60
regis_reads_total{tenant="shop",region="eu-west",source="primary"} 20
regis_read_fallbacks_total{from_region="us-east",to_region="eu-west",reason="session"} 15
regis_read_fallbacks_total{from_region="us-east",to_region="ap-south",reason="session"} 1
regis_read_fallbacks_total{from_region="us-east",to_region="eu-west",reason="lag"} 4
regis_replication_lag_seconds{region="us-east",node="a"} 0.041
regis_replication_lag_seconds{region="ap-south",node="b"} 9
regis_replication_lag_age_seconds{region="us-east",node="a"} 0.2
regis_command_duration_seconds_bucket{le="+Inf",kind="read"} 3
`

test('a page becomes samples with their labels, escapes undone', () => {
  expect(parseMetrics('a{x="1\\"2\\n",y=""} 5\nb 1e3\nc{le="+Inf"} +Inf\n# d 1\n\nnonsense\n')).toEqual([
    { name: 'a', labels: { x: '1"2\n', y: '' }, value: 5 },
    { name: 'b', labels: {}, value: 1000 },
    { name: 'c', labels: { le: '+Inf' }, value: Number.POSITIVE_INFINITY },
  ])
})

test('a reading sums over tenants and nodes and keeps to its region where it must', () => {
  expect(readMetrics(page, 'us-east', 7)).toEqual({
    atMs: 7,
    commands: 100,
    reads: 80,
    localReads: 60,
    fallbacks: { session: 16, lag: 4 },
    lagMs: 41,
  })
})

test("reads of the primary's region count as local there", () => {
  expect(readMetrics(page, 'eu-west', 7)).toMatchObject({ localReads: 20, lagMs: undefined })
})

test('a watermark that nobody has seen for seconds is a lag of at least its age', () => {
  const old = page.replace('regis_replication_lag_age_seconds{region="us-east",node="a"} 0.2', '')
  const withAge = (seconds: number) => `${old}regis_replication_lag_age_seconds{region="us-east",node="a"} ${seconds}\n`
  expect(readMetrics(withAge(2), 'us-east', 0).lagMs).toBe(41)
  expect(readMetrics(withAge(12), 'us-east', 0).lagMs).toBe(12_000)
})

const none = { bounded: undefined, write: undefined, strong: undefined }
const before: Reading = { atMs: 0, commands: 0, reads: 0, localReads: 0, fallbacks: {}, lagMs: 41 }
const state = { region: 'us-east', isPrimary: false, before, now: before, latencies: none, errors: {}, notes: [] }

test('a line shows rates per second between two looks', () => {
  const now = { ...before, atMs: 2000, commands: 40, reads: 20, localReads: 15, fallbacks: { session: 4, lag: 1 } }
  const line = statusLine({ ...state, now }, 8)
  expect(line).toContain('us-east ')
  expect(line).toContain('20 ops/s')
  expect(line).toContain('75% local')
  expect(line).toContain('fallbacks 2.5/s (session 2.0, lag 0.5)')
  expect(line).toContain('lag 41 ms')
})

test('a line says what it cannot know, and never divides by nothing', () => {
  expect(statusLine({ ...state, before: undefined, now: undefined }, 8)).toContain('proxy does not answer')
  expect(statusLine({ ...state, before: undefined }, 8)).toContain('starting')
  // A proxy that was started again counts from 0.
  expect(statusLine({ ...state, before: { ...before, commands: 9 }, now: { ...before, atMs: 9 } }, 8)).toContain(
    'starting',
  )
  const idle = statusLine({ ...state, now: { ...before, atMs: 1000, lagMs: undefined } }, 8)
  expect(idle).toContain('- local')
  expect(idle).toContain('lag -')
  expect(idle).not.toContain('NaN')
})

test('latencies, errors and what a person did are shown', () => {
  const now = { ...before, atMs: 1000 }
  const latencies = { bounded: 0.62, write: 181.2, strong: undefined }
  const line = statusLine(
    { ...state, now, latencies, errors: { MASTERDOWN: 3 }, notes: ['cut off'], isPrimary: true },
    8,
  )
  expect(line).toContain('bounded read 0.6 ms, write 181 ms, strong read -')
  expect(line).toContain('errors: MASTERDOWN x3')
  expect(line).toContain('[cut off]')
  expect(line).toContain('primary')
})

test('the median of none is nothing', () => {
  expect([median([]), median([3]), median([9, 1, 5])]).toEqual([undefined, 3, 5])
})
