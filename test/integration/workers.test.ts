/**
 * Several worker processes behind one address: all are reached, one that ends takes nobody else along, reload and drain reach
 * all, and nothing is left behind.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import { freePort, type RedisServer } from '../../src/demo/redis-server.ts'
import { createAuthority } from '../kit/certificates.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { atEnd, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { clientAtEach, isAlive, workerOf, workerPids } from '../kit/workers.ts'

const count = 2
const args = ['--workers', String(count)]
let redis: RedisServer

// Each start is three processes of Node: on a busy machine some ten seconds.
jest.setTimeout(120_000)

const config = (more: object = {}, tenants: object = {}): object => ({
  region: 'eu',
  primary: 'eu',
  regions: { eu: { nodes: [redis.url] } },
  tenants: { shop: { users: { app: { password: 'demo' } } }, ...tenants },
  operators: { ops: { password: 'demo' } },
  shutdown: { drain: '3s' },
  ...more,
})

beforeAll(async () => {
  redis = await startRedis()
})

/** No worker of it runs any more. The seconds are for a busy machine. */
async function allGone(pids: readonly number[]): Promise<void> {
  await waitFor(() => !pids.some(isAlive), 15_000)
}

/** Numbers that rise by one, each read back, until it is stopped or its connection ends. */
function load(client: RawClient, key: string) {
  const result = { done: 0, wrong: [] as unknown[], isEnded: false }
  let isStopped = false
  const running = (async () => {
    while (!isStopped) {
      try {
        const replies = await client.pipeline([
          ['INCR', key],
          ['GET', key],
          ['ECHO', `${key}-${result.done}`],
        ])
        const wanted = [result.done + 1, String(result.done + 1), `${key}-${result.done}`]
        if (JSON.stringify(replies) !== JSON.stringify(wanted)) result.wrong.push(replies)
        result.done++
      } catch {
        result.isEnded = true
        return
      }
    }
  })()
  return {
    result,
    stop: async () => {
      isStopped = true
      await running
    },
  }
}

describe('one deployment', () => {
  let proxy: StartedProxy

  beforeAll(async () => {
    proxy = await startProxy(config(), { args, env: { REGIS_WORKER_HANG_MS: '5000', REGIS_PARANOID: '1' } })
  })

  test('connections are spread evenly, whenever they come, and commands are right through each', async () => {
    const together = await Promise.all(Array.from({ length: 10 }, () => proxy.client('app')))
    const later = [await proxy.client('app'), await proxy.client('app')]
    const clients = [...together, ...later]
    const workers = await Promise.all(clients.map((client) => workerOf(client, count)))
    // What is on its way may be off by the few that a worker has not said that it has.
    const first = workers.filter((worker) => worker === 0).length
    expect([first, workers.length - first].every((n) => n >= 4)).toBe(true)
    const ids = await Promise.all(clients.map((client) => client.call('CLIENT', 'ID')))
    expect(new Set(ids).size).toBe(ids.length)
    const loads = clients.map((client, i) => load(client, `even-${i}`))
    await waitFor(() => loads.every(({ result }) => result.done > 20))
    for (const [i, { stop, result }] of loads.entries()) {
      await stop()
      expect([result.wrong, result.isEnded]).toEqual([[], false])
      expect(await redis.call('GET', `shop:even-${i}`)).toBe(String(result.done))
    }
    for (const client of clients) client.close()
  })

  test('what one worker writes, a client of another reads', async () => {
    const [one, other] = await clientAtEach(proxy, count, 'app')
    for (let i = 0; i < 50; i++) {
      expect(await one!.call('SET', 'across', i)).toBe('OK')
      expect(await other!.call('GET', 'across')).toBe(String(i))
    }
  })

  test('a worker that is killed loses its own clients: the others see not one error, and new ones are served', async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, () => proxy.client('app')))
    const places = await Promise.all(clients.map((client) => workerOf(client, count)))
    const loads = clients.map((client, i) => load(client, `kill-${i}`))
    await waitFor(() => loads.every(({ result }) => result.done > 5))
    const [, victim] = workerPids(proxy)
    process.kill(victim!, 'SIGKILL')
    await waitFor(() => loads.every(({ result }, i) => places[i] === 0 || result.isEnded))
    const before = loads.map(({ result }) => result.done)
    // At once, before there is another: whoever is left serves.
    const [early] = [await proxy.client('app')]
    expect(await early.call('PING')).toBe('PONG')
    await waitFor(() => workerPids(proxy)[1] !== victim)
    await waitFor(async () => (await proxy.proxy.fetch('/readyz?verbose')).body.includes('workers ok'))
    await clientAtEach(proxy, count, 'app')
    for (const [i, { stop, result }] of loads.entries()) {
      await stop()
      if (places[i] === 0) {
        expect([result.isEnded, result.wrong]).toEqual([false, []])
        expect(result.done).toBeGreaterThan(before[i]!)
      }
    }
    expect(places).toContain(0)
    expect(places).toContain(1)
    expect(proxy.proxy.log()).toMatch(
      /"worker":1,"pid":\d+,"how":"SIGKILL".*"a worker has ended: its clients are gone"/,
    )
    expect(isAlive(victim!)).toBe(false)
  })

  test('a worker that hangs is found and replaced', async () => {
    const [pid] = workerPids(proxy)
    const [stuck, other] = await clientAtEach(proxy, count, 'app')
    process.kill(pid!, 'SIGSTOP')
    stuck!.send(command('PING'))
    expect(await stuck!.untilClosed()).toBe('')
    expect(await other!.call('PING')).toBe('PONG')
    await waitFor(() => workerPids(proxy)[0] !== pid)
    await clientAtEach(proxy, count, 'app')
    expect(proxy.proxy.log()).toContain('a worker gives no sign of life: killed')
  })

  test('a reload reaches all workers, by whatever way it was asked for, and one that starts later has it too', async () => {
    const ops = await clientAtEach(proxy, count, 'ops')
    const tenant = (name: string) => ({ [name]: { users: { [`${name}-app`]: { password: 'demo' } } } })
    const everywhere = async (name: string) => {
      for (const client of await clientAtEach(proxy, count, `${name}-app`)) {
        expect(await client.call('SET', 'a', '1')).toBe('OK')
        client.close()
      }
    }
    proxy.write(config({}, tenant('one')))
    expect(await ops[1]!.call('PROXY', 'RELOAD')).toEqual(['tenants.one: added'])
    await everywhere('one')
    proxy.write(config({}, { ...tenant('one'), ...tenant('two') }))
    proxy.proxy.signal('SIGHUP')
    await waitFor(() => proxy.proxy.log().includes('"by":"SIGHUP"'))
    await everywhere('two')
    // Refused here, once, and nowhere taken.
    proxy.write(config({ limits: { max_clients: -1 } }, tenant('three')))
    expect(await ops[0]!.call('PROXY', 'RELOAD')).toBeInstanceOf(ErrorReply)
    expect(proxy.proxy.log().split('configuration refused').length - 1).toBe(1)
    await everywhere('two')
    const stranger = await proxy.client()
    expect(await stranger.call('AUTH', 'three-app', 'demo')).toBeInstanceOf(ErrorReply)
    // What is in the file now is not what runs: who starts again takes what runs.
    const [pid] = workerPids(proxy)
    process.kill(pid!, 'SIGKILL')
    await waitFor(() => workerPids(proxy)[0] !== pid)
    await everywhere('two')
  })

  test('a reload that meets a worker as it starts waits for it, and the worker has the new configuration', async () => {
    const [, operator] = await clientAtEach(proxy, count, 'ops')
    const [pid] = workerPids(proxy)
    const ends = () => proxy.proxy.log().split('a worker has ended').length
    const before = ends()
    process.kill(pid!, 'SIGKILL')
    await waitFor(() => ends() > before)
    // Soon after it was started: it loads its code.
    const delays = [...proxy.proxy.log().matchAll(/"again_in_ms":(\d+)/g)]
    await sleep(Number(delays.at(-1)![1]) + 100)
    proxy.write(config({}, { four: { users: { 'four-app': { password: 'demo' } } } }))
    expect(await operator!.call('PROXY', 'RELOAD')).toContain('tenants.four: added')
    expect(proxy.proxy.log()).not.toContain('did not take it')
    for (const client of await clientAtEach(proxy, count, 'four-app')) client.close()
    expect(ends()).toBe(before + 1)
    operator!.close()
  })

  test('limits.max_clients is what all workers together take', async () => {
    proxy.write(config({ limits: { max_clients: 6 } }))
    proxy.proxy.signal('SIGHUP')
    await waitFor(() => proxy.proxy.log().includes('limits.max_clients changed'))
    const open: RawClient[] = []
    atEnd(() => {
      for (const client of open) client.close()
    })
    // Clients of the tests before may still be here: what is asserted is the most that fit.
    let served = 0
    for (let i = 0; i < 12; i++) {
      const client = await proxy.client()
      open.push(client)
      const reply = await client.call('AUTH', 'app', 'demo').catch((error: unknown) => error)
      if (reply === 'OK') served++
    }
    expect(served).toBeLessThanOrEqual(6)
    for (const client of open) client.close()
  })

  test('PROXY DRAIN at one worker ends the clients of all, after what they had sent was answered', async () => {
    proxy.write(config())
    proxy.proxy.signal('SIGHUP')
    await waitFor(() => proxy.proxy.log().split('limits.max_clients changed').length === 3)
    const clients = await clientAtEach(proxy, count, 'app')
    const [, ops] = await clientAtEach(proxy, count, 'ops')
    ops!.send(command('PROXY', 'DRAIN'))
    for (const client of clients) expect(await client.untilClosed()).toBe('')
    expect(await ops!.untilClosed()).toBe('+OK\r\n')
    await waitFor(async () => (await proxy.proxy.fetch('/readyz')).status === 503)
    await expect(RawClient.open(proxy.port)).rejects.toThrow('ECONNREFUSED')
    const pids = workerPids(proxy)
    proxy.proxy.signal('SIGTERM')
    expect(await proxy.proxy.exited()).toBe(0)
    await allGone(pids)
  })
})

test('SIGTERM under load: every reply that was begun is whole, all processes end, and the scratch folder with them', async () => {
  const proxy = await startProxy(config(), { args })
  const scratch = /"scratch":"([^"]+)"/.exec(proxy.proxy.log())?.[1] ?? 'none'
  expect(existsSync(scratch)).toBe(true)
  const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.client('app')))
  const loads = clients.map((client, i) => load(client, `drain-${i}`))
  await waitFor(() => loads.every(({ result }) => result.done > 20))
  const pids = workerPids(proxy)
  expect(pids.length).toBe(count)
  proxy.proxy.signal('SIGTERM')
  await waitFor(() => loads.every(({ result }) => result.isEnded))
  expect(await proxy.proxy.exited()).toBe(0)
  await allGone(pids)
  expect(loads.flatMap(({ result }) => result.wrong)).toEqual([])
  expect(existsSync(scratch)).toBe(false)
})

test('TLS behind a PROXY protocol header is served by all workers, none of which outlives a supervisor that is killed', async () => {
  const authority = createAuthority('Test CA')
  const own = authority.issue('proxy', ['proxy.test'])
  const listeners = [{ address: '127.0.0.1:6380', proxy_protocol: true, tls: { cert: own.certFile, key: own.keyFile } }]
  const proxy = await startProxy(config({ listeners }), { args })
  const seen = new Set<number>()
  const clients: RawClient[] = []
  for (let i = 0; i < 4; i++) {
    const raw = await RawClient.open(proxy.port)
    raw.socket.removeAllListeners('data')
    raw.send('PROXY TCP4 203.0.113.7 127.0.0.1 12345 6380\r\n')
    const socket = tls.connect({ socket: raw.socket, ca: authority.cert, servername: 'proxy.test' })
    const client = new RawClient(socket)
    clients.push(client)
    atEnd(() => client.close())
    expect(await client.call('AUTH', 'app', 'demo')).toBe('OK')
    expect(await client.call('CLIENT', 'INFO')).toContain('addr=203.0.113.7:12345')
    seen.add(await workerOf(client, count))
  }
  expect(seen.size).toBe(count)
  const pids = workerPids(proxy)
  const scratch = /"scratch":"([^"]+)"/.exec(proxy.proxy.log())?.[1] ?? 'none'
  expect(existsSync(scratch)).toBe(true)
  proxy.proxy.signal('SIGKILL')
  for (const client of clients) expect(await client.untilClosed()).toBe('')
  await allGone(pids)
  expect(existsSync(scratch)).toBe(false)
})

describe('what cannot start says so once', () => {
  const run = (file: string, port: number, adminPort: number): Promise<{ code: number; text: string }> =>
    new Promise((resolve) => {
      const all = [path.join(projectRoot, 'bin/regis'), 'run', '-c', file, ...args]
      const addresses = ['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`]
      execFile(process.execPath, [...all, ...addresses], { timeout: 60_000 }, (error, stdout, stderr) =>
        resolve({
          code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
          text: stdout + stderr,
        }),
      )
    })

  test('a configuration with an error: 78; a port that is taken, and a node that must be there: 1', async () => {
    const proxy = await startProxy(config(), { args: ['--workers', '1'] })
    const free = await freePort()
    proxy.write(config({ upstream: { timeot: '1s' } }))
    const bad = await run(proxy.file, free, await freePort())
    expect([bad.code, bad.text.split('timeot').length - 1]).toEqual([78, expect.any(Number)])
    expect(bad.text.split('\n').filter((line) => /proxy\.yaml:\d+:\d+/.test(line)).length).toBe(1)

    proxy.write(config())
    const taken = await run(proxy.file, proxy.port, await freePort())
    expect([taken.code, taken.text.split('EADDRINUSE').length - 1]).toEqual([1, 1])

    proxy.write(
      config({
        upstream: { strict: true, timeout: '500ms' },
        regions: { eu: { nodes: [`redis://127.0.0.1:${free}`] } },
      }),
    )
    const strict = await run(proxy.file, await freePort(), await freePort())
    expect([strict.code, strict.text.split('upstream.strict:').length - 1]).toEqual([1, 1])
  })
})
