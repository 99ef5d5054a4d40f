/** Thousands of tenants, most of them in a file of their own: each is itself, and what is shown of them has an end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { metric } from '../kit/metrics.ts'
import { ErrorReply } from '../kit/resp.ts'
import { atEnd, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

const count = 2_000
let proxy: StartedProxy

beforeAll(async () => {
  const server = await startRedis()
  const lines = Array.from({ length: count }, (_, i) =>
    JSON.stringify({ id: `t${i}`, users: { [`u${i}`]: { password: `secret-${i}` } }, scripts: 'any' }),
  )
  // By an absolute path: the folder of the configuration is not known before it is there.
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-many-'))
  atEnd(() => rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'tenants.jsonl')
  writeFileSync(file, `${lines.join('\n')}\n`)
  proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [server.url] } },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
    tenants_file: file,
    operators: { ops: { password: 'demo' } },
  })
}, 60_000)

test('each has its own keys, scripts and password, from the first to the last line', async () => {
  for (const i of [0, 1, 1_000, count - 1]) {
    const client = await proxy.client(`u${i}`, `secret-${i}`)
    expect(await client.call('SET', 'name', `value-${i}`)).toBe('OK')
    expect(await client.call('EVAL', "return redis.call('get', 'name')", '0')).toBe(`value-${i}`)
    client.close()
  }
  for (const i of [0, 1, 1_000, count - 1]) {
    const client = await proxy.client(`u${i}`, `secret-${i}`)
    expect(await client.call('GET', 'name')).toBe(`value-${i}`)
    expect(await client.call('DBSIZE')).toBe(1)
    expect(await client.call('AUTH', `u${(i + 1) % count}`, `secret-${i}`)).toBeInstanceOf(ErrorReply)
    client.close()
  }
  const shop = await proxy.client('shop-app')
  expect(await shop.call('GET', 'name')).toBeNull()
})

test('operators see the busiest first, a thousand at most; asking about a tenant wakes nobody', async () => {
  const ops = await proxy.client('ops')
  const tenants = JSON.parse((await proxy.proxy.fetch('/api/v1/tenants')).body) as { tenant: string; reads: number }[]
  expect(tenants).toHaveLength(1_000)
  expect(new Set(tenants.map((it) => it.tenant)).size).toBe(1_000)
  expect(
    tenants
      .slice(0, 4)
      .map((it) => it.tenant)
      .sort(),
  ).toEqual(['t0', 't1', 't1000', `t${count - 1}`])
  const config = JSON.parse((await proxy.proxy.fetch('/api/v1/config')).body) as {
    tenants: object
    tenants_left_out: number
  }
  expect([Object.keys(config.tenants).length, config.tenants_left_out]).toEqual([1_000, count + 1 - 1_000])
  const stats = JSON.parse((await proxy.proxy.fetch('/api/v1/stats')).body) as { tenants: { tenant: string }[] }
  // Four have come, and shop.
  expect(stats.tenants).toHaveLength(5)
  expect(((await ops.call('PROXY', 'SHOW', 'TENANTS')) as unknown[]).length).toBe(1_000)
})

test('metrics name those that were used, fill up to top:N with zeros, and fold all others', async () => {
  const page = await metric(proxy)
  for (const i of [0, 1, 1_000, count - 1])
    expect(page.sum('regis_commands_total', { tenant: `t${i}`, kind: 'write', outcome: 'ok' })).toBeGreaterThan(0)
  expect(page.sum('regis_tenants_folded')).toBe(count + 1 - 50)
  const { body } = await proxy.proxy.fetch('/metrics')
  const named = new Set([...body.matchAll(/^regis_client_connections\{tenant="([^"]+)"/gm)].map((it) => it[1]))
  expect(named.size).toBe(51)
})
