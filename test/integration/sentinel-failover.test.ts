/** trial */
import { setTimeout as sleep } from 'node:timers/promises'
import { startSentinels } from '../kit/sentinels.ts'
import { startProxy } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

test('trial', async () => {
  const t0 = performance.now()
  const at = (what: string) => console.log(`${Math.round(performance.now() - t0)} ${what}`)
  const set = await startSentinels({ regions: ['eu', 'us', 'ap'] })
  at('sentinels')
  const proxy = await startProxy({
    ...set.config('us'),
    tenants: { t0: { users: { 't0-app': { password: 'demo' } } } },
  })
  at('proxy')
  const client = await proxy.client('t0-app')
  expect(await client.call('SET', 'a', 'b')).toBe('OK')
  await set.primary.kill('SIGKILL')
  at('killed')
  await sleep(100)
  await waitFor(async () => (await client.call('SET', 'a', 'c')) === 'OK', 20_000)
  at('resumed')
  console.log((await proxy.proxy.fetch('/api/v1/status')).body)
  console.log(proxy.proxy.log())
}, 60_000)
