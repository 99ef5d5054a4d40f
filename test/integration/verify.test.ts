/** `regis verify` against real proxies: it holds what is promised against what is read. */
import type { Report } from '../../src/verify/report.ts'
import { configFor, startProxy, startReplicaSet } from '../kit/servers.ts'
import { runVerify, through } from '../kit/verify.ts'

test('verify through two regions finds every promise kept, tells where reads were answered, and leaves no keys', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'], rttMs: { 'eu-west:us-east': 20 } })
  const proxies = await Promise.all(
    ['eu-west', 'us-east'].map((region) =>
      startProxy({ ...configFor(topology, region), routing: { max_staleness: '500ms' } }),
    ),
  )
  const lagging = setInterval(() => topology.setLag('us-east', Math.random() < 0.5 ? 0 : Math.random() * 800), 300)
  const { code, stdout, stderr } = await runVerify(
    ...through(proxies),
    '--user',
    'shop-app',
    '--duration',
    '6s',
    '--json',
  )
  clearInterval(lagging)
  expect(stderr).toBe('')
  const report = JSON.parse(stdout) as Report
  expect(report.examples).toEqual([])
  expect(report.problems).toEqual([])
  expect(report.ok).toBe(true)
  expect(code).toBe(0)
  expect(report.max_staleness_ms).toBe(500)
  for (const { checked } of Object.values(report.promises)) expect(checked).toBeGreaterThan(50)
  expect(report.levels.eventual.local).toBeGreaterThan(0.5)
  expect(report.levels.strong.primary).toBeGreaterThan(0)
  expect(report.levels.eventual.staleness_ms.max).toBeGreaterThan(0)
  expect(report.writes.acknowledged).toBeGreaterThan(50)
  topology.setLag('us-east', 0)
  expect(await topology.primary.call('KEYS', '*regis-verify*')).toEqual([])
}, 60_000)

test('verify says in one line when there is no proxy, or none that it may use', async () => {
  const nobody = await runVerify('--target', '127.0.0.1:1', '--user', 'shop-app', '--duration', '1s')
  expect(nobody.code).toBe(1)
  expect(nobody.stderr.trim().split('\n').at(-1)).toMatch(/^regis: .*ECONNREFUSED/)
  const topology = await startReplicaSet({ regions: ['eu-west'] })
  const proxy = await startProxy(configFor(topology, 'eu-west'))
  const stranger = await runVerify('--target', `127.0.0.1:${proxy.port}`, '--user', 'nobody', '--duration', '1s')
  expect(stranger.code).toBe(1)
  expect(stranger.stderr).toContain('WRONGPASS')
})
