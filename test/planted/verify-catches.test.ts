/** `regis verify` is shown proxies that do not keep their promises. */
import type { Report } from '../../src/verify/report.ts'
import { type PlantedBug, plant } from '../kit/planted.ts'
import { configFor, startProxy, startReplicaSet } from '../kit/servers.ts'
import { runVerify, through } from '../kit/verify.ts'

const anyReplicaWillDo: PlantedBug = {
  name: 'every read goes to the nearest node, however stale',
  change: [
    {
      file: 'routing/choose.ts',
      find: 'if (node === primary) return REASON.none',
      put: 'if (node === primary || node.isReadable) return REASON.none',
    },
    {
      file: 'request-path.ts',
      find: 'this.isStrongRead = need.level === LEVEL.strong\n      if',
      put: 'this.isStrongRead = false\n      if',
    },
  ],
}

test('verify catches a proxy that serves whatever the nearest replica has', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  topology.setLag('us-east', 900)
  const config = { ...configFor(topology, 'us-east'), routing: { max_staleness: '200ms' } }
  const proxy = await startProxy(config, { root: plant(anyReplicaWillDo) })
  const { code, stdout } = await runVerify(...through([proxy]), '--user', 'shop-app', '--duration', '4s', '--json')
  const report = JSON.parse(stdout) as Report
  expect(code).toBe(1)
  expect(report.ok).toBe(false)
  for (const name of ['read your writes', 'bounded staleness', 'strong reads'] as const)
    expect([name, report.promises[name].violations > 0]).toEqual([name, true])
  expect(report.registers.broken).toBeGreaterThan(0)
  expect(report.levels.session.staleness_ms.p50).toBeGreaterThan(200)
  // Each replica's own order holds.
  expect(report.promises['monotonic writes'].violations).toBe(0)
}, 60_000)

test('a planted bug that has lost its place is told, and so is one with two', () => {
  const change = [{ file: 'routing/choose.ts', find: 'no such text', put: '' }]
  expect(() => plant({ name: 'lost', change })).toThrow('is 0 times in src/routing/choose.ts, not once')
  const twice = [{ file: 'routing/choose.ts', find: 'REASON.none', put: '' }]
  expect(() => plant({ name: 'twice', change: twice })).toThrow(/is \d+ times in src\/routing\/choose.ts, not once/)
})
