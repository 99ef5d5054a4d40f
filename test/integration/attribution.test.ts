/**
 * No reply, message or invalidation ever reaches the wrong client, tenant or command, and every command is answered in time:
 * 200 clients of 20 tenants with plain pipelines, transactions, watched keys, blocked pops, streams, subscriptions, tracked
 * keys, scans, changes of protocol and of tenant, while clients vanish in the middle of replies, upstream connections are reset
 * or killed and servers stop for a while. At most once: every pushed id stands in its list once, every element of a queue is
 * popped once, no counter is raised twice to the same value. COMMANDS= makes the run longer, SEED= another one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { Relay, RelayOptions } from '../../src/demo/relay.ts'
import { Flusher, Listener, markTenants, mixedClientsOf } from '../kit/attributed-listeners.ts'
import { type AttributedClient, checkLogs, clientsOf, excuseCounts } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRelay, startReplicaSet } from '../kit/servers.ts'
import { TenantLedger } from '../kit/tenant-ledger.ts'

const seed = Number(process.env['SEED'] ?? 1)
const commandsWanted = Number(process.env['COMMANDS'] ?? 100_000)
const levels = ['session', 'strong', 'eventual', 'bounded', 'session'] as const
const tenants = Array.from({ length: 20 }, (_, i) => {
  const level = levels[i % levels.length]!
  return { name: `t${i}`, level, readsOwnWrites: level === 'session' || level === 'strong' }
})
/** Deletes all it has, while the others go on. */
const flushed = { name: 'flushed', level: 'strong' } as const
const timeoutMs = 1_000

interface Stage {
  readonly proxy: StartedProxy
  readonly primary: RedisServer
  readonly replica: RedisServer
  readonly toPrimary: Relay
  readonly toReplica: Relay
}

async function startStage(delayMs: number, relay: RelayOptions = {}): Promise<Stage> {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const toPrimary = await startRelay({ port: topology.primary.port }, { delayMs, ...relay })
  const toReplica = await startRelay({ port: topology.node('us-east').port }, relay)
  const proxy = await startProxy(
    {
      region: 'us-east',
      primary: 'eu-west',
      upstream: { timeout: `${timeoutMs}ms` },
      regions: {
        'eu-west': { nodes: [`redis://127.0.0.1:${toPrimary.port}`] },
        'us-east': { nodes: [`redis://127.0.0.1:${toReplica.port}`], distance: { 'eu-west': '40ms' } },
      },
      routing: { max_staleness: '2s' },
      tenants: Object.fromEntries(
        [...tenants, flushed].map(({ name, level }, i) => [
          name,
          {
            consistency: level,
            scripts: i % 2 === 0 ? 'declared' : 'any',
            users: { [`${name}-app`]: { password: 'demo' } },
          },
        ]),
      ),
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  return { proxy, primary: topology.primary, replica: topology.node('us-east'), toPrimary, toReplica }
}

async function expectSound(stage: Stage, clients: readonly AttributedClient[]): Promise<void> {
  expect(clients.flatMap((client) => client.wrong).slice(0, 10)).toEqual([])
  expect((await checkLogs(clients, stage.primary)).slice(0, 10)).toEqual([])
  const page = await metric(stage.proxy)
  for (const name of ['desync', 'foreign_prefix', 'write_resent_after_unknown', 'uncaught']) {
    expect({ name, count: page.sum(`regis_${name}_total`) }).toEqual({ name, count: 0 })
  }
}

describe('attribution', () => {
  test(
    'connections reset, servers stopped, clients vanishing: every reply is the right one',
    async () => {
      const stage = await startStage(1, { sliceBytesMax: 8_192 })
      await markTenants(stage.primary, tenants)
      const answerMsMax = timeoutMs + 3_000
      const ledgers = tenants.map(({ name }) => new TenantLedger(name))
      const { port } = stage.proxy
      const clients = mixedClientsOf(tenants, ledgers, 10, { port, answerMsMax, seed, abandon: 0.02 })
      const listeners = tenants.map(({ name }, i) => new Listener().start(port, name, i % 2 === 0 ? 2 : 3, seed + i))
      const flusher = new Flusher().start(port, flushed.name)
      let isOver = false
      const stop = async (server: RedisServer, ms: number): Promise<void> => {
        await server.kill('SIGSTOP')
        await sleep(ms)
        await server.kill('SIGCONT')
      }
      const faults = (async () => {
        const script: (() => unknown)[] = [
          () => stage.toPrimary.reset(),
          () => stage.primary.call('CLIENT', 'KILL', 'TYPE', 'normal'),
          () => stage.toReplica.reset(),
          () => stop(stage.replica, 200),
          () => stage.replica.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
          () => stop(stage.primary, 200),
          () => stage.primary.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
          () => stop(stage.primary, timeoutMs + 700),
          () => stage.replica.call('CLIENT', 'KILL', 'TYPE', 'normal'),
          () => stop(stage.replica, timeoutMs + 700),
          async () => {
            stage.toPrimary.setDelay(40)
            await sleep(150)
            stage.toPrimary.reset()
            stage.toPrimary.setDelay(1)
          },
        ]
        for (let i = 0; !isOver || i < script.length; i++) {
          await script[i % script.length]!()
          await sleep(700)
        }
      })()
      await Promise.all(clients.map((client) => client.run(commandsWanted / clients.length)))
      isOver = true
      await faults
      await flusher.stop()
      for (const listener of listeners) await listener.stop()
      const sum = (of: (client: (typeof clients)[number]) => number): number =>
        clients.reduce((total, client) => total + of(client), 0)
      const excused = excuseCounts(clients)
      const popped = ledgers.reduce((total, ledger) => total + ledger.popped.size, 0)
      const told = {
        answered: sum((client) => client.answered),
        abandoned: sum((client) => client.abandoned),
        cut: sum((client) => client.cut),
        endedBetween: sum((client) => client.endedBetween),
        pushes: sum((client) => client.pushes),
        left: sum((client) => client.leaves.count),
        poppedForNobody: sum((client) => client.leaves.poppedForNobody),
        popped,
        popsLost: ledgers.reduce((total, ledger) => total + ledger.popsLost, 0),
        raises: ledgers.reduce((total, ledger) => total + ledger.raises, 0),
        conflicts: ledgers.reduce((total, ledger) => total + ledger.conflicts, 0),
        heard: listeners.reduce((total, listener) => total + listener.heard, 0),
        flushes: flusher.flushes,
        longestMs: Math.max(...clients.map((client) => Math.round(client.longestMs))),
        excused,
      }
      if (process.env['COMMANDS'] !== undefined) process.stderr.write(`${JSON.stringify(told)}\n`)
      expect(clients.flatMap((client) => client.wrong).slice(0, 10)).toEqual([])
      expect(listeners.flatMap((listener) => listener.wrong).slice(0, 10)).toEqual([])
      expect(flusher.wrong.slice(0, 5)).toEqual([])
      const unsound = await Promise.all(ledgers.map((ledger) => ledger.check(stage.primary)))
      expect(unsound.flat().slice(0, 10)).toEqual([])
      // The faults were felt, and everything that is in the mix has happened: else this test says nothing.
      expect(excused['UNCERTAIN'] ?? 0).toBeGreaterThan(0)
      expect(told.abandoned).toBeGreaterThan(commandsWanted / 1_000)
      expect(told.answered).toBeGreaterThanOrEqual(commandsWanted)
      expect(told.poppedForNobody).toBeLessThanOrEqual(told.left / 4)
      expect(told.flushes).toBeGreaterThan(2)
      for (const count of [told.left, popped, told.raises, told.conflicts, told.heard, told.pushes])
        expect(count).toBeGreaterThan(0)
      await expectSound(stage, clients)
    },
    120_000 + commandsWanted,
  )

  test('a storm of clients that leave with replies under way shifts nobody else', async () => {
    const stage = await startStage(50)
    const clients = clientsOf(tenants, 2, { port: stage.proxy.port, answerMsMax: timeoutMs + 2_000, seed: seed + 1 })
    let isOver = false
    let cancels = 0
    const storm = async (tenant: string): Promise<void> => {
      while (!isOver) {
        const client = await RawClient.open(stage.proxy.port)
        client.send(
          Buffer.concat([
            command('AUTH', `${tenant}-app`, 'demo'),
            ...Array.from({ length: 20 }, (_, i) =>
              command(i % 2 === 0 ? 'SET' : 'GET', 'storm', ...(i % 2 === 0 ? [`${tenant}-storm`] : [])),
            ),
          ]),
        )
        await sleep(5 + Math.random() * 30)
        client.reset()
        cancels += 20
      }
    }
    const storms = tenants.flatMap(({ name }) => [storm(name), storm(name), storm(name)])
    await Promise.all(clients.map((client) => client.run(500)))
    isOver = true
    await Promise.all(storms)
    expect(cancels).toBeGreaterThan(10_000)
    await expectSound(stage, clients)
  })
})
