/**
 * The primary dies or falls silent under load, in three regions: every command is answered within its time, no write
 * runs twice, eventual reads go on from replicas, writes are refused in Redis's words, and service resumes by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../src/demo/redis-server.ts'
import { checkLogs, clientsOf, excuseCounts } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import { ErrorReply } from '../kit/resp.ts'
import { rawClient, regionsFor, startProxy, startRedis, startRelay, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const timeoutMs = 1_000
const answerMsMax = timeoutMs + 2_000
const down = /^MASTERDOWN no reachable primary, command not executed$/

const tenants = [
  { name: 't0', level: 'session', readsOwnWrites: true },
  { name: 't1', level: 'eventual', readsOwnWrites: false },
  { name: 't2', level: 'strong', readsOwnWrites: true },
  { name: 't3', level: 'bounded', readsOwnWrites: false },
] as const

async function start(regions: readonly string[]) {
  const topology = await startReplicaSet({ regions })
  const region = regions[1]!
  const proxy = await startProxy(
    {
      region,
      primary: regions[0],
      upstream: { timeout: `${timeoutMs}ms` },
      regions: regionsFor(topology, region),
      tenants: Object.fromEntries(
        tenants.map(({ name, level }) => [
          name,
          { consistency: level, users: { [`${name}-app`]: { password: 'demo' } } },
        ]),
      ),
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  return { topology, proxy }
}

describe('the primary is lost', () => {
  test('killed under load: all is answered in time, nothing twice, reads go on, service resumes', async () => {
    const { topology, proxy } = await start(['eu-west', 'us-east', 'ap-south'])
    const clients = clientsOf(tenants, 6, { port: proxy.port, answerMsMax, seed: Number(process.env['SEED'] ?? 5) })
    const load = Promise.all(clients.map((client) => client.run(100_000, 5)))
    await sleep(500)
    await topology.primary.kill('SIGKILL')
    const reader = await proxy.client('t1-app')
    await sleep(300)
    // A read of a tenant that asks for some past state goes on.
    expect(await reader.call('GET', 'nothing')).toBeNull()
    const writer = await proxy.client('t1-app')
    const refused = await writer.call('SET', 'a', 'b')
    expect(refused).toBeInstanceOf(ErrorReply)
    expect((refused as ErrorReply).message).toMatch(down)
    const strong = await (await proxy.client('t2-app')).call('GET', 'a')
    expect((strong as ErrorReply).message).toMatch(down)
    await sleep(1_500)
    expect((excuseCounts(clients)['MASTERDOWN'] ?? 0) > 0).toBe(true)
    // It was empty when it died as far as anybody knows: a new history begins.
    const before = await Promise.all(
      ['us-east', 'ap-south'].map((region) => checkLogs(clients, topology.node(region), { mayLose: true })),
    )
    expect(before.flat()).toEqual([])
    await topology.primary.restart()
    await waitFor(async () => (await writer.call('SET', 'a', 'c')) === 'OK')
    expect(await writer.call('GET', 'a')).not.toBeInstanceOf(ErrorReply)
    for (const client of clients) client.stop()
    await load
    // What was acknowledged before the kill is gone with the server: only order, tenant and time can be judged.
    const wrong = clients.flatMap((client) => client.wrong).filter((text) => !/acknowledged/.test(text))
    expect(wrong.slice(0, 10)).toEqual([])
    expect((await checkLogs(clients, topology.primary, { mayLose: true })).slice(0, 5)).toEqual([])
    const page = await metric(proxy)
    expect(page.sum('regis_desync_total')).toBe(0)
    expect(page.sum('regis_write_resent_after_unknown_total')).toBe(0)
  })

  test('reads and writes of one pipeline are answered in order while there is no primary', async () => {
    const { topology, proxy } = await start(['eu-west', 'us-east'])
    const client = await proxy.client('t1-app')
    await client.call('SET', 'here', 'v')
    await topology.node('us-east').untilInSync()
    await waitFor(async () => (await topology.node('us-east').call('GET', 't1:here')) === 'v')
    await topology.primary.kill('SIGKILL')
    await sleep(500)
    const replies = await client.pipeline([
      ['GET', 'here'],
      ['SET', 'here', 'w'],
      ['GET', 'here'],
      ['ECHO', 'e'],
      ['DEL', 'here'],
      ['GET', 'here'],
    ])
    expect(replies.map((reply) => (reply instanceof ErrorReply ? reply.message.split(' ', 1)[0] : reply))).toEqual([
      'v',
      'MASTERDOWN',
      'v',
      'e',
      'MASTERDOWN',
      'v',
    ])
  })

  test('silent under load: all is answered in time, what was acknowledged is there, nothing twice', async () => {
    const { topology, proxy } = await start(['eu-west', 'us-east'])
    const clients = clientsOf(tenants, 6, { port: proxy.port, answerMsMax, seed: Number(process.env['SEED'] ?? 6) })
    const load = Promise.all(clients.map((client) => client.run(100_000, 5)))
    for (let round = 0; round < 2; round++) {
      await sleep(400)
      await topology.primary.kill('SIGSTOP')
      await sleep(timeoutMs + 1_200)
      await topology.primary.kill('SIGCONT')
    }
    await sleep(300)
    const writer = await proxy.client('t0-app')
    await waitFor(async () => (await writer.call('SET', 'a', 'c')) === 'OK')
    for (const client of clients) client.stop()
    await load
    expect(excuseCounts(clients)['UNCERTAIN'] ?? 0).toBeGreaterThan(0)
    expect(clients.flatMap((client) => client.wrong).slice(0, 10)).toEqual([])
    expect((await checkLogs(clients, topology.primary)).slice(0, 5)).toEqual([])
  })

  test('a proxy whose nodes are all away starts, answers, and recovers', async () => {
    const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
    for (const region of topology.regions) await topology.node(region).kill('SIGKILL')
    const port = await freePort()
    // It is not ready before it has a node, but it serves clients before that.
    const starting = startProxy(
      {
        region: 'us-east',
        primary: 'eu-west',
        upstream: { timeout: '500ms' },
        regions: Object.fromEntries(topology.regions.map((to) => [to, { nodes: [topology.node(to).url] }])),
        tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
      },
      { readyMsMax: 30_000, args: ['--listen', `127.0.0.1:${port}`] },
    )
    const client = await waitFor(() => rawClient(port))
    expect(await client.call('AUTH', 'shop-app', 'demo')).toBe('OK')
    expect(((await client.call('SET', 'a', 'b')) as ErrorReply).message).toMatch(down)
    expect(((await client.call('GET', 'a')) as ErrorReply).message).toMatch(/^TRYAGAIN /)
    expect(await client.call('PING')).toBe('PONG')
    await topology.restart('eu-west')
    await topology.restart('us-east')
    await waitFor(async () => (await client.call('SET', 'a', 'b')) === 'OK')
    expect(await client.call('GET', 'a')).toBe('b')
    await starting
  })
})

test('an EXEC that finds no primary ends its transaction: what follows is not queued', async () => {
  const server = await startRedis()
  const relay = await startRelay({ port: server.port })
  const proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [`redis://127.0.0.1:${relay.port}`] } },
    tenants: { ant: { users: { 'ant-app': { password: 'demo' } } } },
  })
  const client = await proxy.client('ant-app')
  expect(await client.pipeline([['MULTI'], ['SET', 'k', 'v']])).toEqual(['OK', 'QUEUED'])
  relay.refuse(true)
  relay.reset()
  expect(await client.callRaw('EXEC')).toMatch(/^-MASTERDOWN /)
  expect(await client.callRaw('EXEC')).toBe('-ERR EXEC without MULTI\r\n')
  expect(await client.call('ECHO', 'free')).not.toBe('QUEUED')
})
