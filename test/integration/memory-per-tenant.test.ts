/**
 * What each tenant has of memory and keys, as the sweep over a replica finds it, beside the truth asked key by key.
 * KEYS=2000000 runs it at full size (minutes), and prints the figures.
 */
import { metric } from '../kit/metrics.ts'
import { configFor, rawClient, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { callsIn, cpuMsOf, fillMixed, trueUsage } from './memory-kit.ts'

const keys = Number(process.env['KEYS'] ?? 15_000)
const isFull = keys > 1_000_000
const minutes = isFull ? 30 : 1

const tenants = Array.from({ length: 20 }, (_, i) => `t${String(i).padStart(2, '0')}`)
const prefixes = tenants.map((tenant) => `${tenant}:`)

function configOf(base: Record<string, unknown>, sweep: object): object {
  const quota = { memory: '1TiB', keys: 1_000_000_000 }
  const of = (tenant: string) => ({ quota, users: { [`${tenant}-app`]: { password: 'demo' } } })
  return {
    ...base,
    sweep,
    tenants: {
      ...Object.fromEntries(tenants.map((tenant) => [tenant, of(tenant)])),
      // Begins like another's without being its: the servers' own rule is the longest prefix.
      alone: { isolation: { database: 3 }, ...of('alone') },
    },
    operators: { root: { password: 'demo' } },
    metrics: { tenant_label: 'all' },
  }
}

interface Shown {
  tenant: string
  memory_bytes: number | null
  memory_error_bytes: number
  keys: number
}

async function shown(proxy: StartedProxy): Promise<Map<string, Shown>> {
  const { body } = await proxy.proxy.fetch('/api/v1/tenants')
  return new Map((JSON.parse(body) as Shown[]).map((one) => [one.tenant, one]))
}

test(
  'the sweep of a replica knows what twenty tenants have, within 5 %, and asks the primary for nothing',
  async () => {
    const topology = await startReplicaSet({ regions: ['us', 'eu'], args: ['--databases', '4'] })
    const primary = topology.node('us')
    const replica = topology.node('eu')
    await fillMixed(primary.port, prefixes, keys, 7)
    const direct = await rawClient(primary.port)
    await direct.call('SET', 't0', 'nobody')
    await direct.call('SET', 'stray:1', 'nobody')
    await direct.call('SET', 't00:gone', 'x', 'PX', 1)
    await direct.call('SELECT', 3)
    await direct.call('SET', 'own', 'x'.repeat(5000))
    await direct.call('HSET', 'own:h', 'f', 'v')
    await replica.untilInSync()
    await topology.node('eu').call('CONFIG', 'RESETSTAT')
    await primary.call('CONFIG', 'RESETSTAT')

    const cpuBefore = cpuMsOf(replica.pid)
    const startedAt = performance.now()
    const proxy = await startProxy(configOf(configFor(topology, 'eu'), { every: '1h' }), { region: 'eu' })
    await waitFor(
      async () => (await metric(proxy)).sum('regis_sweeps_total', { result: 'ok' }) === 1,
      minutes * 60_000,
      50,
    )
    const tookMs = performance.now() - startedAt
    const cpuShare = (cpuMsOf(replica.pid) - cpuBefore) / tookMs

    const truth = await trueUsage(replica.port, prefixes)
    const found = await shown(proxy)
    const rows: string[] = []
    let worst = 0
    for (const tenant of tenants) {
      const { keys: trueKeys, bytes } = truth.get(`${tenant}:`)!
      const one = found.get(tenant)!
      expect({ tenant, keys: one.keys }).toEqual({ tenant, keys: trueKeys })
      const off = Math.abs(one.memory_bytes! - bytes)
      worst = Math.max(worst, off / bytes)
      rows.push(
        `${tenant} ${trueKeys} keys, ${bytes} bytes: ${((100 * (one.memory_bytes! - bytes)) / bytes).toFixed(2)} % off, ` +
          `bound ${((100 * one.memory_error_bytes) / bytes).toFixed(2)} %`,
      )
      if (off / bytes >= 0.05) throw new Error(rows.join('\n'))
    }
    const alone = found.get('alone')!
    const own = await trueUsage(replica.port, [], 3)
    expect([alone.keys, alone.memory_bytes]).toEqual([2, own.get('')!.bytes])
    const page = await metric(proxy)
    expect(page.sum('regis_sweep_keys', { kind: 'stray' })).toBe(truth.get('')!.keys)

    // The primary is asked for its totals at most, and for nothing of its keys.
    const stats = String(await primary.call('INFO', 'commandstats'))
    expect([callsIn(stats, 'scan'), callsIn(stats, 'memory|usage'), callsIn(stats, 'type')]).toEqual([0, 0, 0])
    if (isFull) {
      const cost = page.sum('regis_sweep_cpu_seconds')
      const measured = page.sum('regis_sweep_keys', { kind: 'measured' })
      console.log(
        `${rows.join('\n')}\n${keys} keys: worst tenant ${(100 * worst).toFixed(2)} % off, ${measured} sizes, ${(tookMs / 1000).toFixed(1)} s, ` +
          `replica ${(100 * cpuShare).toFixed(1)} % of a core by /proc, ${cost.toFixed(2)} s of CPU by our account`,
      )
      expect(cpuShare).toBeLessThan(0.1)
    }
  },
  minutes * 60_000 + 60_000,
)
