/**
 * A planned change of the primary without Sentinels: FAILOVER on the server, under load. Nothing is lost or runs twice, no
 * client hears of a replica, and what the old primary has refused is sent to the new one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AttributedClient, attributedValue, checkLogs, excuseCounts } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import { command, type ErrorReply } from '../kit/resp.ts'
import { startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenants = [
  { name: 't0', level: 'session', readsOwnWrites: true },
  { name: 't1', level: 'eventual', readsOwnWrites: false },
  { name: 't2', level: 'strong', readsOwnWrites: true },
] as const

/** Its values are small: what is too large for an arena is not kept, and its refusal goes to the client. */
class SmallClient extends AttributedClient {
  protected override value(key: string, seq: number): string {
    return attributedValue(this.options.tenant, this.options.id, seq, key)
  }
}

async function start() {
  const [eu, us] = [await startRedis(), await startRedis()]
  await us.replicaOf('127.0.0.1', eu.port)
  await us.untilInSync()
  const proxy = await startProxy(
    {
      region: 'us',
      primary: 'eu',
      regions: { eu: { nodes: [eu.url] }, us: { nodes: [us.url], distance: { eu: '40ms' } } },
      tenants: Object.fromEntries(
        tenants.map(({ name, level }) => [
          name,
          { consistency: level, users: { [`${name}-app`]: { password: 'demo' } } },
        ]),
      ),
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  return { eu, us, proxy }
}

test('FAILOVER under load, there and back: every write is acknowledged, none is lost, twice or uncertain', async () => {
  const { eu, us, proxy } = await start()
  const seed = Number(process.env['SEED'] ?? 9) * 7919
  const clients = tenants.flatMap(({ name, readsOwnWrites }, t) =>
    Array.from({ length: 6 }, (_, id) => {
      const user = `${name}-app`
      const common = { port: proxy.port, tenant: name, user, id, neighbours: 6, readsOwnWrites, answerMsMax: 4_000 }
      return new SmallClient({ ...common, resp: id % 2 === 0 ? 2 : 3, seed: seed + t * 1000 + id })
    }),
  )
  const load = Promise.all(clients.map((client) => client.run(100_000, 2)))
  for (const [from, to] of [
    [eu, us],
    [us, eu],
  ] as const) {
    await sleep(500)
    expect(await from.call('FAILOVER', 'TO', '127.0.0.1', to.port)).toBe('OK')
    await waitFor(async () => (await from.info('role')) === 'slave' && (await to.info('role')) === 'master')
    const writer = await proxy.client('t0-app')
    await waitFor(async () => (await writer.call('SET', 'a', 'b')) === 'OK')
  }
  await sleep(300)
  for (const client of clients) client.stop()
  await load
  const page = await metric(proxy)
  const sent = page.sum('regis_readonly_resent_total', { result: 'resent' })
  const passed = page.sum('regis_readonly_resent_total', { result: 'passed' })
  console.info(
    `FAILOVER twice: excuses ${JSON.stringify(excuseCounts(clients))}, resent ${sent}, passed ${passed}, longest ${Math.round(Math.max(...clients.map((client) => client.longestMs)))} ms`,
  )
  expect(clients.flatMap((client) => client.wrong).slice(0, 10)).toEqual([])
  expect(excuseCounts(clients)['UNCERTAIN'] ?? 0).toBe(0)
  // What stands behind a strong read that is not proven yet is not sent again.
  expect(excuseCounts(clients.filter(({ options }) => options.tenant !== 't2'))['READONLY'] ?? 0).toBe(0)
  expect(sent).toBeGreaterThan(0)
  expect((await checkLogs(clients, eu)).slice(0, 5)).toEqual([])
  expect(page.sum('regis_desync_total')).toBe(0)
  expect(page.sum('regis_foreign_prefix_total')).toBe(0)
}, 60_000)

test('a client that blocks when its primary becomes a replica is told so and closed, and no element is taken', async () => {
  const { eu, us, proxy } = await start()
  const blocked = await proxy.client('t0-app')
  blocked.send(command('BLPOP', 'list', 0))
  await waitFor(async () => (await eu.info('blocked_clients')) === '1')
  const watching = await proxy.client('t0-app')
  expect(await watching.pipeline([['WATCH', 'w'], ['MULTI'], ['SET', 'w', '1']])).toEqual(['OK', 'OK', 'QUEUED'])
  const queueing = await proxy.client('t0-app')
  expect(await queueing.pipeline([['MULTI'], ['SET', 'q', '1']])).toEqual(['OK', 'QUEUED'])

  expect(await eu.call('FAILOVER', 'TO', '127.0.0.1', us.port)).toBe('OK')
  const reply = (await blocked.read(10_000)) as ErrorReply
  expect(reply.message).toMatch(/^UNBLOCKED force unblock from blocking operation, instance state changed/)
  await waitFor(() => blocked.isClosed)
  const writer = await proxy.client('t0-app')
  await waitFor(async () => (await writer.call('RPUSH', 'list', 'x')) === 1)
  expect(await us.call('LLEN', 't0:list')).toBe(1)
  // What it watched cannot be vouched for; what was only queued goes to the new primary.
  expect(await watching.call('EXEC')).toBeNull()
  expect(await queueing.call('EXEC')).toEqual(['OK'])
}, 60_000)
