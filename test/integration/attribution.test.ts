/**
 * No reply ever reaches the wrong client, tenant or command, and every command is answered in time, while clients
 * vanish in the middle of replies, upstream connections are reset and servers stop for a while. At most once: every
 * pushed id stands in its list once. COMMANDS= makes the run longer, SEED= another one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { Relay } from '../../src/demo/relay.ts'
import { type AttributedClient, checkLogs, clientsOf, excuseCounts } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRelay, startReplicaSet } from '../kit/servers.ts'

const seed = Number(process.env['SEED'] ?? 1)
const commandsWanted = Number(process.env['COMMANDS'] ?? 100_000)
const levels = ['session', 'strong', 'eventual', 'bounded', 'session'] as const
const tenants = Array.from({ length: 10 }, (_, i) => {
  const level = levels[i % levels.length]!
  return { name: `t${i}`, level, readsOwnWrites: level === 'session' || level === 'strong' }
})
const timeoutMs = 1_000

interface Stage {
  readonly proxy: StartedProxy
  readonly primary: RedisServer
  readonly replica: RedisServer
  readonly toPrimary: Relay
  readonly toReplica: Relay
}

async function startStage(delayMs: number): Promise<Stage> {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const toPrimary = await startRelay({ port: topology.primary.port }, { delayMs })
  const toReplica = await startRelay({ port: topology.node('us-east').port })
  const proxy = await startProxy(
    {
      region: 'us-east',
      primary: 'eu-west',
      upstream: { timeout: `${timeoutMs}ms` },
      regions: {
        'eu-west': { nodes: [`redis://127.0.0.1:${toPrimary.port}`] },
        'us-east': { nodes: [`redis://127.0.0.1:${toReplica.port}`] },
      },
      routing: { max_staleness: '2s' },
      tenants: Object.fromEntries(
        tenants.map(({ name, level }) => [
          name,
          { consistency: level, users: { [`${name}-app`]: { password: 'demo' } } },
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
  test('connections reset, servers stopped, clients vanishing: every reply is the right one', async () => {
    const stage = await startStage(1)
    const answerMsMax = timeoutMs + 2_000
    const clients = clientsOf(tenants, 10, { port: stage.proxy.port, answerMsMax, seed, abandon: 0.02 })
    let isOver = false
    const faults = (async () => {
      const script: (() => unknown)[] = [
        () => stage.toPrimary.reset(),
        () => stage.toReplica.reset(),
        async () => {
          await stage.replica.kill('SIGSTOP')
          await sleep(200)
          await stage.replica.kill('SIGCONT')
        },
        async () => {
          await stage.primary.kill('SIGSTOP')
          await sleep(200)
          await stage.primary.kill('SIGCONT')
        },
        async () => {
          await stage.primary.kill('SIGSTOP')
          await sleep(timeoutMs + 700)
          await stage.primary.kill('SIGCONT')
        },
        async () => {
          await stage.replica.kill('SIGSTOP')
          await sleep(timeoutMs + 700)
          await stage.replica.kill('SIGCONT')
        },
        async () => {
          stage.toPrimary.setDelay(40)
          await sleep(150)
          stage.toPrimary.reset()
          stage.toPrimary.setDelay(1)
        },
      ]
      for (let i = 0; !isOver || i < script.length; i++) {
        await script[i % script.length]!()
        await sleep(300)
      }
    })()
    await Promise.all(clients.map((client) => client.run(commandsWanted / clients.length)))
    isOver = true
    await faults
    expect(clients.flatMap((client) => client.wrong).slice(0, 10)).toEqual([])
    const { excused, abandoned } = {
      excused: excuseCounts(clients),
      abandoned: clients.reduce((sum, client) => sum + client.abandoned, 0),
    }
    // The faults were felt: else this test says nothing.
    expect(excused['UNCERTAIN'] ?? 0).toBeGreaterThan(0)
    expect(abandoned).toBeGreaterThan(100)
    expect(clients.reduce((sum, client) => sum + client.answered, 0)).toBeGreaterThanOrEqual(commandsWanted)
    await expectSound(stage, clients)
  }, 120_000)

  test('a storm of clients that leave with replies under way shifts nobody else', async () => {
    const stage = await startStage(25)
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
    expect(cancels).toBeGreaterThan(5_000)
    await expectSound(stage, clients)
  }, 60_000)
})
