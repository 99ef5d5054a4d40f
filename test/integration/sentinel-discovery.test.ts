/** What a proxy does with Sentinels that are away, that name a node it does not know, and that come and go. */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import { ErrorReply } from '../kit/resp.ts'
import { startSentinels } from '../kit/sentinels.ts'
import { type StartedProxy, startProxy } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const down = /^MASTERDOWN no reachable primary, command not executed$/

interface Told {
  readonly primary: string | null
  readonly discovery: { readonly named: string | null; readonly heard: number; readonly trouble: string }
}

async function status(proxy: StartedProxy): Promise<Told> {
  return JSON.parse((await proxy.proxy.fetch('/api/v1/status')).body) as Told
}

async function messageOf(reply: Promise<unknown>): Promise<string> {
  const it = await reply
  return it instanceof ErrorReply ? it.message : String(it)
}

/** What `check --connect` says of this file. */
async function runCheck(file: string): Promise<string> {
  const bin = path.join(projectRoot, 'bin/regis')
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [bin, 'check', '-c', file, '--connect'])
  return stdout + stderr
}

const tenants = { t0: { consistency: 'eventual', users: { 't0-app': { password: 'demo' } } } }

test('cut off from the majority writes are refused and old reads go on; a primary that no region lists is never used', async () => {
  const set = await startSentinels({ regions: ['eu', 'us'] })
  const config = set.config('us') as { discovery: { sentinels: string[] }; regions: Record<string, unknown> }
  // The third is found through the others.
  const discovery = { ...config.discovery, sentinels: config.discovery.sentinels.slice(0, 2) }
  const proxy = await startProxy({ ...config, discovery, tenants })
  const onlyReplica = { ...config, region: 'us', regions: { us: { nodes: [set.node('us').url] } } }
  const stranger = await startProxy({ ...onlyReplica, tenants })
  const client = await proxy.client('t0-app')
  await waitFor(async () => (await client.call('SET', 'a', 'b')) === 'OK')
  await waitFor(async () => (await set.node('us').call('GET', 't0:a')) === 'b')
  expect((await status(proxy)).discovery.heard).toBe(3)
  const report = await runCheck(proxy.file)
  expect(report).toContain(`Sentinel ${set.sentinels[0]!.name}: the primary is 127.0.0.1:${set.primary.port}`)
  expect(report).not.toContain('writes will be refused')

  for (const sentinel of set.sentinels.slice(1)) sentinel.kill('SIGSTOP')
  await waitFor(async () => down.test(await messageOf(client.call('SET', 'z', 'c'))), 20_000)
  expect(await client.call('GET', 'a')).toBe('b')
  expect(await status(proxy)).toMatchObject({
    primary: null,
    discovery: { named: null, trouble: '1 of 3 Sentinels answer, 2 are needed' },
  })
  for (const sentinel of set.sentinels.slice(1)) sentinel.kill('SIGCONT')
  await waitFor(async () => (await client.call('SET', 'a', 'd')) === 'OK', 20_000)

  const name = `127.0.0.1:${set.primary.port}`
  await waitFor(async () => (await status(stranger)).discovery.trouble.includes('no region lists it'), 20_000)
  expect(await status(stranger)).toMatchObject({ primary: null, discovery: { named: name } })
  expect(stranger.proxy.log()).toContain('writes are refused')
  const guest = await stranger.client('t0-app')
  expect(await messageOf(guest.call('SET', 'a', 'f'))).toMatch(down)
  expect(await guest.call('GET', 'a')).toBe('d')
}, 120_000)
