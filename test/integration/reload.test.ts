/**
 * The configuration taken live: whole or not at all, from the next command on, without a closed connection, a lost reply or
 * one in the wrong place; and what becomes of those whose user or right is gone.
 */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { Topology } from '../../src/demo/topology.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { type Decoded, ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startRedis, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { regis } from '../unit/cli/kit.ts'

type Tree = { [key: string]: unknown }

const noPerm = (name: string) => new ErrorReply(`NOPERM this user has no permissions to run the '${name}' command`)

describe('one server', () => {
  let server: RedisServer
  let proxy: StartedProxy
  let ops: RawClient
  let isChanged = false

  const base = (): Tree => ({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [server.url] } },
    tenants: {
      shop: { users: { app: { password: 'demo' }, other: { password: 'demo' } } },
      gone: { users: { leaver: { password: 'demo' } } },
      dbs: { databases: 2, users: { 'dbs-app': { password: 'demo' } } },
    },
    operators: { ops: { password: 'demo' } },
  })

  /** The file with these values in the places of its own; undefined takes one away. */
  const withValues = (values: Readonly<Record<string, unknown>>): Tree => {
    const config = base()
    for (const [dotted, value] of Object.entries(values)) {
      const steps = dotted.split('.')
      let at = config
      for (const step of steps.slice(0, -1)) {
        at[step] ??= {}
        at = at[step] as Tree
      }
      if (value === undefined) delete at[steps.at(-1)!]
      else at[steps.at(-1)!] = value
    }
    return config
  }

  /** Writes and reloads; gives what the operator is told. */
  const reload = async (values: Readonly<Record<string, unknown>> = {}): Promise<Decoded> => {
    proxy.write(withValues(values))
    isChanged = Object.keys(values).length > 0
    return ops.call('PROXY', 'RELOAD')
  }

  const status = async (): Promise<{ hash: string; last_reload: { ok: boolean; by: string; errors: string[] } }> =>
    JSON.parse((await proxy.proxy.fetch('/api/v1/status')).body).config

  beforeAll(async () => {
    server = await startRedis()
    proxy = await startProxy(base())
    ops = await proxy.client('ops')
  }, 60_000)

  afterEach(async () => {
    if (isChanged) expect(await reload()).toBeInstanceOf(Array)
  })

  test('rights of a user are others from its next command on, on the connection that is open', async () => {
    const app = await proxy.client('app')
    expect(await app.call('SET', 'k', '1')).toBe('OK')
    expect(await reload({ 'tenants.shop.users.app.access': 'read-only' })).toEqual([
      'tenants.shop.users.app.access: read-write -> read-only',
    ])
    expect(
      await app.pipeline([
        ['GET', 'k'],
        ['SET', 'k', '2'],
        ['GET', 'k'],
      ]),
    ).toEqual(['1', noPerm('set'), '1'])
    await reload({ 'tenants.shop.deny': ['GET', '@list'] })
    expect(
      await app.pipeline([
        ['GET', 'k'],
        ['SET', 'k', '2'],
        ['LLEN', 'l'],
      ]),
    ).toEqual([noPerm('get'), 'OK', noPerm('llen')])
    expect(await app.call('EVAL', 'return 1', '0')).toEqual(noPerm('eval'))
    await reload({ 'tenants.shop.scripts': 'any' })
    expect(await app.call('EVAL', "return redis.call('GET', 'k')", '0')).toBe('2')
    await reload()
    expect(await app.call('EVAL', 'return 1', '0')).toEqual(noPerm('eval'))
    expect(await app.call('GET', 'k')).toBe('2')
  })

  test('what a script may call is refused by the server too, on connections that are warm', async () => {
    const values = { 'tenants.shop.scripts': 'any' }
    await reload(values)
    const app = await proxy.client('app')
    expect(await app.call('EVAL', "return redis.call('INCR', 'n')", '0')).toBe(1)
    await reload({ ...values, 'tenants.shop.deny': ['INCR'] })
    const refused = await app.call('EVAL', "return redis.call('INCR', 'n')", '0')
    expect((refused as ErrorReply).message).toContain("user executing the script can't run this command")
    expect(await server.call('GET', 'shop:n')).toBe('1')
    await reload(values)
    expect(await app.call('EVAL', "return redis.call('INCR', 'n')", '0')).toBe(2)
  })

  test('what was queued is looked at again at EXEC: a right that was lost meanwhile undoes the whole', async () => {
    const app = await proxy.client('app')
    expect(await app.call('DEL', 'q')).toBeGreaterThanOrEqual(0)
    await app.pipeline([['MULTI'], ['INCR', 'q'], ['LPUSH', 'ql', '1']])
    await reload({ 'tenants.shop.deny': ['LPUSH'] })
    const aborted = (await app.call('EXEC')) as ErrorReply
    expect(aborted.message).toBe(`EXECABORT Transaction discarded because of: ${noPerm('lpush').message}`)
    expect(await app.call('GET', 'q')).toBeNull()
    // Other rights, of which none was used: it runs.
    await app.pipeline([['MULTI'], ['INCR', 'q']])
    await reload({ 'tenants.shop.deny': ['SORT'] })
    expect(await app.call('EXEC')).toEqual([1])
  })

  test('a user that is gone: what is in flight is answered, then its connections end; nobody else notices', async () => {
    const [leaver, blocked, other] = [
      await proxy.client('other'),
      await proxy.client('other'),
      await proxy.client('app'),
    ]
    await blocked.call('PING')
    blocked.send('BLPOP nothing 0\r\n')
    await waitFor(async () => String(await server.call('CLIENT', 'LIST')).includes('cmd=blpop'))
    expect(await leaver.call('MULTI')).toBe('OK')
    expect(await reload({ 'tenants.shop.users.other': undefined })).toEqual(['tenants.shop.users.other: removed'])
    expect(await leaver.untilClosed()).toBe('')
    expect(await blocked.untilClosed()).toMatch(/^-UNBLOCKED /)
    expect(await other.call('PING')).toBe('PONG')
    const late = await proxy.client()
    expect(await late.call('AUTH', 'other', 'demo')).toBeInstanceOf(ErrorReply)
    await reload()
    expect(await late.call('AUTH', 'other', 'demo')).toBe('OK')
  })

  test('a user that is another tenant now does not go on with the keys of the first one', async () => {
    const client = await proxy.client('other')
    expect(await client.call('SET', 'k', 'of-shop')).toBe('OK')
    await reload({ 'tenants.shop.users.other': undefined, 'tenants.gone.users.other': { password: 'demo' } })
    await client.untilClosed()
    const again = await proxy.client('other')
    expect(await again.call('GET', 'k')).toBeNull()
  })

  test('another password: open connections stay, the next login needs the new one', async () => {
    const app = await proxy.client('app')
    await reload({ 'tenants.shop.users.app.password': 'new' })
    expect(await app.call('PING')).toBe('PONG')
    const late = await proxy.client()
    expect(await late.call('AUTH', 'app', 'demo')).toBeInstanceOf(ErrorReply)
    expect(await late.call('AUTH', 'app', 'new')).toBe('OK')
  })

  test('a tenant comes, goes and comes back: with its keys, and never without its prefix', async () => {
    const late = await proxy.client()
    expect(await late.call('AUTH', 'new-app', 'demo')).toBeInstanceOf(ErrorReply)
    const users = { users: { 'new-app': { password: 'demo' } } }
    expect(await reload({ 'tenants.new': users })).toEqual(['tenants.new: added'])
    expect(await late.call('AUTH', 'new-app', 'demo')).toBe('OK')
    expect(await late.call('SET', 'k', 'v')).toBe('OK')
    expect(await server.call('GET', 'new:k')).toBe('v')
    const before = (await metric(proxy)).sum('regis_commands_total', { tenant: 'new' })
    expect(before).toBeGreaterThan(0)
    await reload()
    await late.untilClosed()
    await reload({ 'tenants.new': users })
    const back = await proxy.client('new-app')
    expect(await back.call('GET', 'k')).toBe('v')
    expect((await metric(proxy)).sum('regis_commands_total', { tenant: 'new' })).toBeGreaterThan(before)
  })

  test('who listens to what it may not any more is closed; who waits in such a command is told', async () => {
    const [listener, waiting, free] = [
      await proxy.client('app'),
      await proxy.client('app'),
      await proxy.client('leaver'),
    ]
    await listener.call('SUBSCRIBE', 'news')
    await free.call('SUBSCRIBE', 'news')
    waiting.send('BLPOP nothing 0\r\n')
    await waitFor(async () => String(await server.call('CLIENT', 'LIST')).includes('cmd=blpop'))
    await reload({ 'tenants.shop.deny': ['SUBSCRIBE', 'BLPOP'] })
    await listener.untilClosed()
    expect(await waiting.read()).toMatchObject({ message: expect.stringMatching(/^UNBLOCKED /) })
    expect(await waiting.call('PING')).toBe('PONG')
    expect(await free.call('PING')).toEqual(['pong', ''])
  })

  test('settings of a connection are kept', async () => {
    const app = await proxy.client('dbs-app')
    await app.call('HELLO', '3', 'SETNAME', 'mine')
    await app.call('SELECT', '1')
    await app.call('SET', 'k', 'one')
    await app.call('PROXY', 'CONSISTENCY', 'strong')
    await reload({ 'tenants.dbs.databases': 3, 'routing.consistency': 'eventual' })
    expect(await app.call('GET', 'k')).toBe('one')
    expect(await app.call('CLIENT', 'GETNAME')).toBe('mine')
    const whoami = (await app.call('PROXY', 'WHOAMI')) as Map<Decoded, Decoded>
    expect(whoami.get('consistency')).toBe('strong')
    expect(await app.call('SELECT', '2')).toBe('OK')
    expect(await app.call('GET', 'k')).toBeNull()
    // Back to two databases is refused: a key may be in the third.
    expect(await reload()).toBeInstanceOf(ErrorReply)
    expect(await reload({ 'tenants.dbs': undefined })).toBeInstanceOf(Array)
  })

  test('`default` that needs no password any more is who has not logged in; the other way round they stay', async () => {
    const nobody = await proxy.client()
    expect(await nobody.call('GET', 'k')).toBeInstanceOf(ErrorReply)
    await reload({ 'tenants.shop.users.default': { nopass: true } })
    expect(await nobody.call('SET', 'd', '1')).toBe('OK')
    await reload({ 'tenants.shop.users.default': { password: 'x' } })
    expect(await nobody.call('GET', 'd')).toBe('1')
    const late = await proxy.client()
    expect(await late.call('GET', 'd')).toBeInstanceOf(ErrorReply)
  })

  test('limits of the proxy act at once', async () => {
    const app = await proxy.client('app')
    expect(await app.call('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '10000'])
    await reload({ 'limits.max_clients': 1, 'limits.max_request': '1KiB', 'limits.leases_per_tenant': 1 })
    expect(await app.call('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '1'])
    const late = await proxy.client()
    expect(await late.untilClosed()).toContain('max number of clients')
    expect(await app.call('SET', 'k', 'x'.repeat(500))).toBe('OK')
    expect(await app.call('SET', 'k', 'x'.repeat(2_000))).toMatchObject({
      message: expect.stringContaining('bulk length'),
    })
  })

  test('quotas of a tenant and of a user hold from the next command on, and no longer', async () => {
    const app = await proxy.client('app')
    const pings = (n: number) => app.pipeline(Array.from({ length: n }, () => ['PING']))
    const refused = (replies: Decoded[]) => replies.filter((reply) => reply instanceof ErrorReply).length
    expect(refused(await pings(20))).toBe(0)
    const quota = { ops: '1/h', burst: 3, scope: 'proxy', when_exceeded: 'error' }
    await reload({ 'tenants.shop.quota': quota })
    expect(refused(await pings(20))).toBe(17)
    await reload({ 'tenants.shop.quota': { ...quota, ops: '100000/s', burst: 100_000 } })
    expect(refused(await pings(20))).toBe(0)
    await reload({
      'tenants.shop.users.app.quota': { ops: '1/h', burst: 5 },
      'tenants.shop.quota': { scope: 'proxy', when_exceeded: 'error' },
    })
    expect(refused(await pings(20))).toBe(15)
    await reload({ 'tenants.shop.quota': { connections: 1, scope: 'proxy' } })
    expect(refused(await pings(20))).toBe(0)
    const late = await proxy.client()
    expect(await late.call('AUTH', 'app', 'demo')).toMatchObject({
      message: expect.stringContaining('max number of clients'),
    })
  })

  describe('refused', () => {
    const untouched = async (values: Readonly<Record<string, unknown>>, reasons: RegExp[]): Promise<void> => {
      const app = await proxy.client('app')
      const before = await status()
      const wrong = withValues({ 'tenants.shop.users.app.access': 'read-only', 'limits.max_clients': 7, ...values })
      proxy.write(wrong)
      const refused = await ops.call('PROXY', 'RELOAD')
      expect((refused as ErrorReply).message).toMatch(/^ERR configuration refused, nothing has changed: /)
      const after = await status()
      expect(after.hash).toBe(before.hash)
      expect(after.last_reload.ok).toBe(false)
      for (const reason of reasons) expect(after.last_reload.errors.join('\n')).toMatch(reason)
      expect((await metric(proxy)).sum('regis_config_last_reload_successful')).toBe(0)
      // Nothing of the good half either.
      expect(await app.call('SET', 'k', '1')).toBe('OK')
      expect(await app.call('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '10000'])
      app.close()
    }

    test.each([
      [
        'another prefix',
        { 'tenants.gone.prefix': 'else:' },
        [/:\d+: tenants\.gone\.prefix: a change \(gone: -> else:\)/],
      ],
      ['other databases', { 'tenants.gone.databases': 2 }, [/:\d+: tenants\.gone\.databases/]],
      ['a database of its own', { 'tenants.gone.isolation': { database: 2 } }, [/tenants\.gone\.isolation/]],
      [
        'what needs a restart, all of it named',
        { 'upstream.timeout': '3s', 'logging.format': 'pretty' },
        [/:\d+: upstream\.timeout: a change \(2s -> 3s\) needs a restart/, /:\d+: logging\.format/],
      ],
      ['a key that there is not', { 'tenants.shop.pasword': 'x' }, [/unknown key 'pasword'/]],
      ['a user of two tenants', { 'tenants.gone.users.app': { password: 'x' } }, [/app/]],
      [
        'a prefix that begins another',
        { 'tenants.new': { prefix: 'sh', users: { n: { password: 'x' } } } },
        [/prefix/],
      ],
    ])('%s: nothing of it is taken', (_, values, reasons) => untouched(values, reasons))

    test('no YAML, no file: the old goes on, and the next good one is taken', async () => {
      proxy.write('region: [\n')
      expect(await ops.call('PROXY', 'RELOAD')).toBeInstanceOf(ErrorReply)
      expect((await status()).last_reload.errors[0]).toContain('YAML')
      rmSync(proxy.file)
      expect(await ops.call('PROXY', 'RELOAD')).toMatchObject({ message: expect.stringContaining('no such file') })
      expect(await reload()).toEqual([])
      const page = await metric(proxy)
      expect(page.sum('regis_config_last_reload_successful')).toBe(1)
      expect(page.sum('regis_config_reloads_total', { result: 'refused' })).toBeGreaterThan(0)
    })
  })

  test('tenants may not reload', async () => {
    const app = await proxy.client('app')
    expect(await app.call('PROXY', 'RELOAD')).toEqual(noPerm('proxy|reload'))
  })

  test('SIGHUP reloads; `regis reload` says what has changed, and a dry run changes nothing', async () => {
    proxy.write(withValues({ 'routing.max_wait': '30ms' }))
    proxy.proxy.signal('SIGHUP')
    await waitFor(async () => (await status()).last_reload.by === 'SIGHUP')
    const url = `http://127.0.0.1:${proxy.adminPort}`
    proxy.write(withValues({ 'limits.max_clients': 50, 'tenants.shop.users.app.password': 'new' }))
    const dry = await regis(['reload', '--url', url, '--dry-run'])
    expect([dry.code, dry.stdout]).toEqual([
      0,
      expect.stringMatching(/limits\.max_clients +changed +10000 +50\n.*\*\*\*/s),
    ])
    expect(dry.stdout).toContain('would be taken: 3 changes')
    const app = await proxy.client('app')
    expect(await app.call('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '10000'])
    const taken = await regis(['reload', '--url', url, '--json'])
    const { ok, reloaded, changes } = JSON.parse(taken.stdout)
    expect([taken.code, ok, reloaded, changes.length]).toEqual([0, true, true, 3])
    expect(await app.call('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '50'])
    proxy.write(withValues({ 'tenants.shop.prefix': 'else:' }))
    const refused = await regis(['reload', '--url', url])
    isChanged = true
    expect([refused.code, refused.stderr]).toEqual([
      78,
      expect.stringMatching(/proxy\.yaml:\d+:\d+.*\n.*prefix: ["']?else:/),
    ])
    expect((await regis(['reload', '--url', 'http://127.0.0.1:1'])).code).toBe(1)
  })
})

describe('--watch', () => {
  test('a file, one that it names, and a link that is swapped under it, as Kubernetes does', async () => {
    const server = await startRedis()
    const config = (password: string, clients: number): string =>
      stringify({
        region: 'eu',
        primary: 'eu',
        regions: { eu: { nodes: [server.url] } },
        tenants: { shop: { users: { app: { password } } } },
        limits: { max_clients: clients },
      })
    const proxy = await startProxy(config('demo', 100), { args: ['--watch'] })
    const app = await proxy.client('app')
    const maxClients = async () => ((await app.call('CONFIG', 'GET', 'maxclients')) as string[])[1]
    proxy.write(config('demo', 101))
    await waitFor(async () => (await maxClients()) === '101')

    const folder = path.dirname(proxy.file)
    for (const [version, clients] of [
      ['v1', 102],
      ['v2', 103],
    ] as const) {
      mkdirSync(path.join(folder, version))
      writeFileSync(path.join(folder, version, 'proxy.yaml'), config('${file:secret}', clients))
    }
    writeFileSync(path.join(folder, 'secret'), 'demo')
    symlinkSync('v1', path.join(folder, '..data'))
    symlinkSync('..data/proxy.yaml', path.join(folder, 'link'))
    renameSync(path.join(folder, 'link'), proxy.file)
    await waitFor(async () => (await maxClients()) === '102')
    symlinkSync('v2', path.join(folder, '..tmp'))
    renameSync(path.join(folder, '..tmp'), path.join(folder, '..data'))
    await waitFor(async () => (await maxClients()) === '103')

    const late = await proxy.client()
    expect(await late.call('AUTH', 'app', 'other')).toBeInstanceOf(ErrorReply)
    writeFileSync(path.join(folder, 'secret'), 'other')
    await waitFor(async () => (await late.call('AUTH', 'app', 'other')) === 'OK')
    expect(await app.call('PING')).toBe('PONG')
    const { sum } = await metric(proxy)
    expect([sum('regis_config_reloads_total', { result: 'ok' }), sum('regis_config_reloads_total')]).toEqual([4, 4])
  })
})

describe('two regions', () => {
  let topology: Topology
  let proxy: StartedProxy

  const config = (round: number): Tree => ({
    region: 'us',
    primary: 'eu',
    regions: regionsFor(topology, 'us'),
    routing: {
      consistency: 'session',
      ...(round % 2 === 0 ? { rules: [{ keys: `rule-${round}:*`, consistency: 'strong' }] } : {}),
    },
    tenants: {
      one: {
        consistency: round % 3 === 0 ? 'strong' : 'session',
        deny: round % 2 === 0 ? ['SORT'] : [],
        users: { 'one-app': { password: 'demo', ...(round % 4 === 0 ? { quota: { ops: '1000000/s' } } : {}) } },
        quota: { ops: `${1_000_000 + round}/s`, scope: 'proxy' },
      },
      two: {
        // Long enough for a busy machine: what is tested is that every reply comes, in its place.
        ...(round % 2 === 1 ? { durability: { replicas: 1, timeout: '30s' } } : {}),
        users: { 'two-app': { password: `demo` }, [`extra-${round}`]: { password: 'x' } },
      },
      [`guest-${round}`]: { users: { [`guest-${round}-app`]: { password: 'x' } } },
    },
    limits: { max_clients: 1_000 + round },
  })

  beforeAll(async () => {
    topology = await startReplicaSet({ regions: ['eu', 'us'] })
    proxy = await startProxy(config(0), { region: 'us', env: { REGIS_PARANOID: '1' } })
  }, 60_000)

  test('under load, again and again: no connection is closed, no reply is lost, wrong or out of its place', async () => {
    let isOver = false
    const rounds = 6
    const work = async (id: number): Promise<number> => {
      const client = await proxy.client(id % 2 === 0 ? 'one-app' : 'two-app')
      let n = 0
      while (!isOver) {
        // Numbers that rise by one, each read back at once; a transaction, and what the proxy answers itself, in between.
        const batch: (string | number)[][] = []
        const wanted: Decoded[] = []
        for (let i = 0; i < 5; i++) {
          batch.push(['INCR', `n${id}`], ['GET', `n${id}`], ['ECHO', `${id}-${n}`])
          wanted.push(n + 1, String(n + 1), `${id}-${n}`)
          n++
        }
        batch.push(['MULTI'], ['INCR', `n${id}`], ['GET', `n${id}`], ['EXEC'])
        n++
        wanted.push('OK', 'QUEUED', 'QUEUED', [n, String(n)])
        expect(await client.pipeline(batch)).toEqual(wanted)
      }
      expect(client.isClosed).toBe(false)
      return n
    }
    const working = Array.from({ length: 8 }, (_, id) => work(id))
    const all = Promise.all(working)
    let reloads = 0
    const reloading = (async () => {
      for (let round = 1; round <= rounds; round++) {
        proxy.write(config(round))
        const { code, stderr } = await regis(['reload', '--url', `http://127.0.0.1:${proxy.adminPort}`])
        expect([code, stderr]).toEqual([0, ''])
        reloads++
        await sleep(50)
      }
    })()
    await Promise.race([reloading, all.then(() => undefined)])
    await reloading
    isOver = true
    const counts = await all
    expect(reloads).toBe(rounds)
    for (const [id, n] of counts.entries()) {
      expect(n).toBeGreaterThan(0)
      const key = `${id % 2 === 0 ? 'one' : 'two'}:n${id}`
      expect([key, await topology.primary.call('GET', key)]).toEqual([key, String(n)])
    }
    const page = await metric(proxy)
    expect(
      page.sum('regis_foreign_prefix_total') + page.sum('regis_desync_total') + page.sum('regis_uncaught_total'),
    ).toBe(0)
    expect(page.sum('regis_config_reloads_total', { result: 'ok' })).toBe(rounds)
  }, 120_000)
})
