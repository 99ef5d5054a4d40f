/**
 * `durability`: a write is acknowledged when replicas have it, or told not to be. The oracle is the replica itself: what was
 * acknowledged is read there in the same moment, while replication takes so long that nothing could be there by chance.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { Topology } from '../../src/demo/topology.ts'
import { checkLogs, clientsOf } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenants = {
  shop: {
    durability: { replicas: 1, timeout: '200ms' },
    scripts: 'declared',
    users: { 'shop-app': { password: 'demo' } },
  },
  patient: {
    durability: { replicas: 1, timeout: '8s' },
    scripts: 'declared',
    users: { 'patient-app': { password: 'demo' } },
  },
  both: { durability: { replicas: 2, timeout: '1s' }, users: { 'both-app': { password: 'demo' } } },
  sure: { durability: { replicas: 2, timeout: '8s' }, users: { 'sure-app': { password: 'demo' } } },
  other: { durability: { replicas: 1, timeout: '9s' }, users: { 'other-app': { password: 'demo' } } },
  plain: { users: { 'plain-app': { password: 'demo' } } },
}

/** The primary and two replicas; the proxy stands beside the primary. */
async function start(): Promise<{ topology: Topology; proxy: StartedProxy }> {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east', 'ap-south'] })
  const regions = regionsFor(topology, 'eu-west')
  const proxy = await startProxy(
    { region: 'eu-west', primary: 'eu-west', upstream: { timeout: '5s' }, regions, tenants },
    { env: { REGIS_PARANOID: '1' } },
  )
  return { topology, proxy }
}

const refusal = (count: number, of: number, ms = 200) =>
  `NOTDURABLE write done on the primary, ${count} of ${of} replicas confirmed it within ${ms} ms`
const said = (reply: Decoded) => (reply instanceof ErrorReply ? reply.message : reply)
const cut = (topology: Topology, isCut: boolean, ...regions: string[]) => {
  for (const region of regions) topology.replication(region).partition(isCut)
}
const waitCalls = async (server: RedisServer) =>
  Number(/cmdstat_wait:calls=(\d+)/.exec(String(await server.call('INFO', 'commandstats')))?.[1] ?? 0)

/** Both replicas are there again, and confirm. */
async function untilWhole(client: RawClient): Promise<void> {
  await waitFor(async () => (await client.call('SET', 'probe', '1')) === 'OK')
}

describe('durability', () => {
  let topology: Topology
  let proxy: StartedProxy
  beforeAll(async () => {
    const started = await start()
    topology = started.topology
    proxy = started.proxy
  }, 60_000)

  const holders = async (key: string, value: string) => {
    const found = await Promise.all(['us-east', 'ap-south'].map((region) => topology.node(region).call('GET', key)))
    return found.filter((one) => one === value).length
  }

  test('what is acknowledged is on that many replicas in the same moment, though replication takes its time', async () => {
    topology.setLag('us-east', 20)
    topology.setLag('ap-south', 60)
    const [one, two, patient] = await Promise.all(
      ['patient-app', 'sure-app', 'patient-app'].map((user) => proxy.client(user)),
    )
    await untilWhole(two!)
    const writing = async (client: RawClient, tenant: string, name: string, replicas: number) => {
      for (let i = 0; i < 15; i++) {
        expect(await client.call('SET', name, i)).toBe('OK')
        expect(await holders(`${tenant}:${name}`, String(i))).toBeGreaterThanOrEqual(replicas)
      }
    }
    await Promise.all([
      writing(one!, 'patient', 'a', 1),
      writing(two!, 'sure', 'b', 2),
      writing(patient!, 'patient', 'c', 1),
    ])
    topology.setLag('us-east', 0)
    topology.setLag('ap-south', 0)
  })

  test('a question serves all who wait: many writes, few WAITs', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.client('patient-app')))
    await untilWhole(clients[0]!)
    topology.setLag('us-east', 10)
    topology.setLag('ap-south', 10)
    const before = await waitCalls(topology.primary)
    const writes = clients.map(async (client, i) => {
      for (let n = 0; n < 10; n++) {
        const replies = await client.pipeline(Array.from({ length: 10 }, (_, k) => ['SET', `w${i}:${k}`, n]))
        expect(replies).toEqual(new Array(10).fill('OK'))
      }
    })
    await Promise.all(writes)
    const asked = (await waitCalls(topology.primary)) - before
    expect(asked).toBeGreaterThan(0)
    expect(asked).toBeLessThan(2000 / 10)
    topology.setLag('us-east', 0)
    topology.setLag('ap-south', 0)
  })

  test('without a replica in time each write of a pipeline is told so in its place, and all of it is on the primary', async () => {
    const client = await proxy.client('shop-app')
    await untilWhole(client)
    await client.call('RPUSH', 'list', 'x')
    cut(topology, true, 'us-east', 'ap-south')
    const replies = await client.pipeline([
      ['GET', 'nobody'],
      ['SET', 'p1', '1'],
      ['GET', 'p1'],
      ['INCR', 'list'],
      ['PING'],
      ['SET', 'p2', '2'],
      ['NOSUCH'],
      ['ECHO', 'last'],
      ['PUBLISH', 'c', 'm'],
    ])
    expect(replies.map(said)).toEqual([
      null,
      refusal(0, 1),
      '1',
      'WRONGTYPE Operation against a key holding the wrong kind of value',
      'PONG',
      refusal(0, 1),
      "ERR unknown command 'NOSUCH', with args beginning with: ",
      'last',
      0,
    ])
    // An error alone waits for nobody, and neither does a read.
    expect(said(await client.call('INCR', 'list'))).toMatch(/^WRONGTYPE/)
    expect(await client.call('GET', 'p2')).toBe('2')
    expect(await holders('shop:p1', '1')).toBe(0)
    expect(await topology.primary.call('GET', 'shop:p1')).toBe('1')
    // Others are not held.
    const other = await proxy.client('plain-app')
    expect(await other.call('SET', 'k', 'v')).toBe('OK')
    cut(topology, false, 'us-east', 'ap-south')
    await untilWhole(client)
    await waitFor(async () => (await holders('shop:p1', '1')) === 2)
  })

  test('with one of two replicas cut off, one is confirmed and two are not', async () => {
    const [one, two] = await Promise.all(['patient-app', 'both-app'].map((user) => proxy.client(user)))
    await untilWhole(two!)
    cut(topology, true, 'ap-south')
    expect(await one!.call('SET', 'k', 'half')).toBe('OK')
    expect(await holders('patient:k', 'half')).toBe(1)
    expect(said(await two!.call('SET', 'k', 'half'))).toBe(refusal(1, 2, 1000))
    cut(topology, false, 'ap-south')
    await untilWhole(two!)
  })

  test('those who need one replica do not wait for those who need two', async () => {
    const [one, two] = await Promise.all(['patient-app', 'both-app'].map((user) => proxy.client(user)))
    await untilWhole(two!)
    cut(topology, true, 'ap-south')
    let isTwoOver = false
    const slow = two!.call('SET', 'k', '2').then((reply) => {
      isTwoOver = true
      return reply
    })
    for (let i = 0; i < 3; i++) expect(await one!.call('SET', 'k', i)).toBe('OK')
    const wasTwoOver = isTwoOver
    expect(said(await slow)).toBe(refusal(1, 2, 1000))
    expect(wasTwoOver).toBe(false)
    cut(topology, false, 'ap-south')
    await untilWhole(two!)
  })

  test('a stopped replica confirms nothing, and goes on confirming when it continues', async () => {
    const client = await proxy.client('shop-app')
    await untilWhole(client)
    cut(topology, true, 'ap-south')
    await topology.node('us-east').kill('SIGSTOP')
    expect(said(await client.call('SET', 'stopped', '1'))).toBe(refusal(0, 1))
    await topology.node('us-east').kill('SIGCONT')
    await untilWhole(client)
    cut(topology, false, 'ap-south')
  })

  for (const resp of [2, 3] as const) {
    test(`transactions, scripts and blocked pops are writes, as far as they write (RESP${resp})`, async () => {
      const clients = { shop: await proxy.client('shop-app'), patient: await proxy.client('patient-app') }
      type Tenant = keyof typeof clients
      for (const client of Object.values(clients)) {
        await client.call('HELLO', resp)
        await untilWhole(client)
        await client.call('DEL', 'q', 't', 'n')
      }
      const transaction = async (tenant: Tenant, ...commands: (string | number)[][]) => {
        const replies = await clients[tenant].pipeline([['MULTI'], ...commands, ['EXEC']])
        return said(replies.at(-1)!)
      }
      const blocked = async (tenant: Tenant, push: boolean) => {
        clients[tenant].send(command('BLPOP', 'q', push ? 5 : 0.05))
        if (push) await topology.primary.call('RPUSH', `${tenant}:q`, 'job')
        return said(await clients[tenant].read())
      }
      const incr = "return redis.call('INCR', KEYS[1])"
      expect(await transaction('patient', ['SET', 't', '1'], ['GET', 't'])).toEqual(['OK', '1'])
      expect(await holders('patient:t', '1')).toBeGreaterThan(0)
      expect(await clients.patient.call('EVAL', incr, 1, 'n')).toBe(1)
      expect(await holders('patient:n', '1')).toBeGreaterThan(0)
      expect(await blocked('patient', true)).toEqual(['q', 'job'])

      cut(topology, true, 'us-east', 'ap-south')
      const no = refusal(0, 1)
      const { shop } = clients
      expect(await transaction('shop', ['SET', 't', '2'], ['GET', 't'])).toBe(no)
      expect(await transaction('shop', ['GET', 't'], ['EXISTS', 't'])).toEqual(['2', 1])
      // All that it does, a script does: whether it has a write in front of it or not.
      expect(await transaction('shop', ['EVAL', incr, 1, 'n'])).toBe(no)
      expect(said(await shop.call('EVAL', incr, 1, 'n'))).toBe(no)
      expect(said(await shop.call('EVAL_RO', "return redis.call('GET', KEYS[1])", 1, 'n'))).toBe('2')
      expect(said(await shop.call('EVAL', "return redis.error_reply('MINE no')", 1, 'n'))).toBe('MINE no')
      expect(await blocked('shop', false)).toBeNull()
      expect(await blocked('shop', true)).toBe(no)
      expect(await topology.primary.call('LLEN', 'shop:q')).toBe(0)
      // What was watched has changed: nothing was done, so nothing is held.
      await shop.call('WATCH', 't')
      await topology.primary.call('SET', 'shop:t', '3')
      expect(await transaction('shop', ['SET', 't', '4'])).toBeNull()
      await shop.call('WATCH', 't')
      expect(await transaction('shop', ['SET', 't', '5'])).toBe(no)
      expect(said(await shop.call('FLUSHDB'))).toBe(no)
      expect(await topology.primary.call('EXISTS', 'shop:t')).toBe(0)
      cut(topology, false, 'us-east', 'ap-south')
      await untilWhole(clients.patient)
      expect(await clients.patient.call('FLUSHDB')).toBe('OK')
      expect(await holders('patient:probe', '1')).toBeLessThan(2)
    })
  }

  test('behind a message that the server refuses WAIT proves nothing', async () => {
    const client = await proxy.client('shop-app')
    await untilWhole(client)
    // What its connection did last is on the replicas, and known to be: a WAIT that speaks of that says yes.
    const { primary } = topology
    const offset = Number(await primary.info('master_repl_offset'))
    await waitFor(async () => Number(/offset=(\d+)/.exec((await primary.info('slave0')) ?? '')?.[1]) >= offset)
    cut(topology, true, 'us-east', 'ap-south')
    await primary.call('ACL', 'SETUSER', 'default', '-publish')
    expect(said(await client.call('SET', 'unmarked', '1'))).toBe(refusal(0, 1))
    await topology.primary.call('ACL', 'SETUSER', 'default', '+publish')
    cut(topology, false, 'us-east', 'ap-south')
    await untilWhole(client)
  })

  test('a silent client is not held, and CLIENT REPLY SKIP takes one reply and no other', async () => {
    const client = await proxy.client('patient-app')
    await untilWhole(client)
    client.send(
      Buffer.concat([
        command('SET', 's', '0'),
        command('CLIENT', 'REPLY', 'SKIP'),
        command('SET', 's', '1'),
        command('GET', 's'),
        command('CLIENT', 'REPLY', 'OFF'),
        command('SET', 's', '2'),
        command('CLIENT', 'REPLY', 'ON'),
        command('GET', 's'),
      ]),
    )
    expect([await client.read(), await client.read(), await client.read(), await client.read()]).toEqual([
      'OK',
      '1',
      'OK',
      '2',
    ])
  })

  test('a pipeline of 15,000 writes is answered in order, each with its own verdict, without memory for all of them', async () => {
    const client = await proxy.client('patient-app')
    await untilWhole(client)
    const count = 15_000
    const isEcho = (i: number) => i % 3 === 2
    client.send(
      Buffer.concat(Array.from({ length: count }, (_, i) => command(...(isEcho(i) ? ['ECHO', i] : ['INCR', 'n'])))),
    )
    let n = 0
    const expected = Array.from({ length: count }, (_, i) =>
      isEcho(i) ? `$${String(i).length}\r\n${i}\r\n` : `:${++n}\r\n`,
    )
    const bytes = expected.join('')
    await waitFor(() => client.unread.length >= bytes.length, 30_000, 100)
    expect(client.unread === bytes).toBe(true)
    const { body } = await proxy.proxy.fetch('/api/v1/clients')
    expect((JSON.parse(body) as { in_flight: number }[]).every(({ in_flight }) => in_flight === 0)).toBe(true)
  })

  test('large replies behind a held write stop the client, and all come when it is over', async () => {
    const client = await proxy.client('shop-app')
    await untilWhole(client)
    const value = 'v'.repeat(100_000)
    await client.call('SET', 'large', value)
    cut(topology, true, 'us-east', 'ap-south')
    const commands = [['SET', 'x', '1'], ...Array.from({ length: 100 }, () => ['GET', 'large'])]
    const replies = await client.pipeline(commands)
    expect(said(replies[0]!)).toBe(refusal(0, 1))
    expect(replies.slice(1).every((reply) => reply === value)).toBe(true)
    cut(topology, false, 'us-east', 'ap-south')
    await untilWhole(client)
  })

  test('a client that leaves, or says that it has no more to say, costs nobody anything', async () => {
    const probe = await proxy.client('shop-app')
    await untilWhole(probe)
    cut(topology, true, 'us-east', 'ap-south')
    const gone = await proxy.client('patient-app')
    gone.send(command('SET', 'gone', '1'))
    await waitFor(async () => (await topology.primary.call('GET', 'patient:gone')) === '1')
    gone.reset()
    const half = await proxy.client('shop-app')
    half.send(Buffer.concat([command('SET', 'half', '1'), command('GET', 'half')]))
    half.end()
    expect(await half.untilClosed()).toBe(`-${refusal(0, 1)}\r\n$1\r\n1\r\n`)
    await waitFor(async () => (await metric(proxy)).sum('regis_durable_held_clients') === 0)
    cut(topology, false, 'us-east', 'ap-south')
    await untilWhole(probe)
  })

  test('the connection of the questions dies: they are asked again on another', async () => {
    const client = await proxy.client('patient-app')
    await untilWhole(client)
    cut(topology, true, 'us-east', 'ap-south')
    client.send(command('SET', 'again', '1'))
    await waitFor(async () => (await topology.primary.call('GET', 'patient:again')) === '1')
    await waitFor(async () => {
      const list = String(await topology.primary.call('CLIENT', 'LIST'))
      const ids = list
        .split('\n')
        .filter((line) => line.includes('name=regis-eu-west-wait') && line.includes('cmd=wait'))
      for (const line of ids) await topology.primary.call('CLIENT', 'KILL', 'ID', /id=(\d+)/.exec(line)![1]!)
      return ids.length > 0
    })
    cut(topology, false, 'us-east', 'ap-south')
    expect(await client.read()).toBe('OK')
    expect(await holders('patient:again', '1')).toBeGreaterThan(0)
  })

  test('it is counted by tenant, and PROXY WHOAMI shows it', async () => {
    const page = await metric(proxy)
    const writes = (tenant: string, outcome: string) => page.sum('regis_durable_writes_total', { tenant, outcome })
    expect(writes('shop', 'confirmed')).toBeGreaterThan(0)
    expect(writes('both', 'not_durable')).toBeGreaterThan(0)
    expect(writes('plain', 'confirmed')).toBe(0)
    expect(page.sum('regis_durable_wait_seconds_count', { tenant: 'shop' })).toBe(
      writes('shop', 'confirmed') + writes('shop', 'not_durable'),
    )
    expect(
      page.sum('regis_desync_total') + page.sum('regis_uncaught_total') + page.sum('regis_foreign_prefix_total'),
    ).toBe(0)
    const client = await proxy.client('shop-app')
    expect(await client.call('PROXY', 'WHOAMI')).toEqual(
      expect.arrayContaining(['durability_replicas', 1, 'durability_timeout_ms', 200]),
    )
  })

  test('among tenants of all kinds every reply comes to whom it belongs', async () => {
    const clients = clientsOf(
      ['other', 'patient', 'sure', 'plain'].map((name) => ({ name, readsOwnWrites: true })),
      6,
      { port: proxy.port, answerMsMax: 20_000, seed: 7, abandon: 0.02 },
    )
    await Promise.all(clients.map((client) => client.run(300)))
    expect(clients.flatMap((client) => client.wrong).slice(0, 10)).toEqual([])
    expect((await checkLogs(clients, topology.primary)).slice(0, 10)).toEqual([])
  })

  // The last ones: they leave another primary behind.
  test('a write that was answered before a failover is not confirmed by the new primary', async () => {
    const client = await proxy.client('patient-app')
    await untilWhole(client)
    const [old, next] = [topology.primary, topology.node('us-east')]
    cut(topology, true, 'us-east', 'ap-south')
    client.send(command('SET', 'lost', '1'))
    await waitFor(async () => (await old.call('GET', 'patient:lost')) === '1')
    await next.promote()
    await old.replicaOf('127.0.0.1', next.port)
    await waitFor(async () => Number(await next.info('connected_slaves')) === 1)
    expect(said(await client.read())).toBe(refusal(0, 1, 8000))
    await waitFor(async () => (await client.call('SET', 'after', '1')) === 'OK')
    expect(await old.call('GET', 'patient:after')).toBe('1')
    expect(await old.call('GET', 'patient:lost')).toBeNull()
  })

  test('a proxy that drains gives what it holds first', async () => {
    const client = await proxy.client('shop-app')
    const next = topology.node('us-east')
    await waitFor(async () => (await client.call('SET', 'drain', '0')) === 'OK')
    await topology.primary.kill('SIGSTOP')
    client.send(Buffer.concat([command('SET', 'drain', '1'), command('GET', 'drain')]))
    await waitFor(async () => (await next.call('GET', 'shop:drain')) === '1')
    proxy.proxy.signal('SIGTERM')
    expect(await client.untilClosed()).toBe(`-${refusal(0, 1)}\r\n$1\r\n1\r\n`)
    await topology.primary.kill('SIGCONT')
  })
})
