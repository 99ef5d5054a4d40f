/** What `check --connect` asks the Sentinels of a configuration, and what is wrong with their answers. ~ sockets (ioredis). */
import { Redis } from 'ioredis'
import type { Config, DiscoveryConfig, NodeConfig } from '../config/config.ts'
import { readAnswer } from '../regions/sentinel-link.ts'
import { textOf } from '../regions/wire.ts'

export interface SentinelReport {
  readonly name: string
  /** Why it could not be asked; then nothing below is known. */
  readonly problem?: string
  /** The address that it gives for the master. */
  readonly says?: string
  readonly configEpoch?: number
  /** Other Sentinels that it knows. */
  readonly others?: number
}

/** All at once. Never rejects. */
export function inspectSentinels(config: Config): Promise<SentinelReport[]> {
  const { discovery, upstream } = config
  if (discovery === undefined) return Promise.resolve([])
  return Promise.all(discovery.sentinels.map((sentinel) => inspect(sentinel, discovery, upstream.timeoutMs)))
}

async function inspect(sentinel: NodeConfig, { master }: DiscoveryConfig, timeoutMs: number): Promise<SentinelReport> {
  const { name, host, port, tls, ca, username, password } = sentinel
  const redis = new Redis({
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: ca === undefined ? {} : { ca } } : {}),
    protocol: 2,
    connectionName: 'regis-check',
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
  })
  let lastError: unknown
  redis.on('error', (error: Error) => {
    lastError = error
  })
  try {
    await redis.connect()
    const [said, address, others] = await Promise.all([
      redis.call('SENTINEL', 'MASTER', master),
      redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', master),
      redis.call('SENTINEL', 'SENTINELS', master),
    ])
    const answer = readAnswer(name, 0, said, address, others)
    if (answer === undefined) return { name, problem: 'it answers in another form' }
    return {
      name,
      says: `${answer.host}:${answer.port}`,
      configEpoch: answer.configEpoch,
      others: answer.others.length,
    }
  } catch (error) {
    const text = textOf(lastError ?? error)
    return { name, problem: password === undefined || password === '' ? text : text.replaceAll(password, '***') }
  } finally {
    redis.disconnect()
  }
}

export function judgeSentinels(reports: readonly SentinelReport[], config: Config): string[] {
  const { discovery } = config
  if (discovery === undefined) return []
  const warnings = reports.flatMap((it) => (it.problem === undefined ? [] : [`Sentinel ${it.name}: ${it.problem}`]))
  const reached = reports.filter((it) => it.says !== undefined)
  const all = Math.max(reports.length, ...reached.map((it) => (it.others ?? 0) + 1))
  const needed = Math.floor(all / 2) + 1
  const votes = (says: string | undefined): number => reached.filter((it) => it.says === says).length
  const best = reached.map((it) => it.says).sort((a, b) => votes(b) - votes(a))[0]
  const most = votes(best)
  if (most < needed) {
    warnings.push(
      `${most} of ${all} Sentinels name the same primary and ${needed} must: writes will be refused, unless those that the file does not list make up for it`,
    )
  }
  const nodes = config.regions.flatMap((region) => region.nodes.map(({ name }) => name))
  if (best !== undefined && !nodes.includes(best)) {
    warnings.push(
      `the Sentinels name ${best}, which is no node's address in this file: it must resolve to one of them, or writes will be refused`,
    )
  }
  if (all < 3)
    warnings.push(`${all === 1 ? 'one Sentinel' : `${all} Sentinels`}: with fewer than three none may be lost`)
  return warnings
}

export function renderSentinels(reports: readonly SentinelReport[]): string {
  return reports
    .map(({ name, problem, says, configEpoch, others }) =>
      problem === undefined
        ? `Sentinel ${name}: the primary is ${says} (configuration epoch ${configEpoch}, knows ${others} other Sentinels)\n`
        : `Sentinel ${name}: unreachable: ${problem}\n`,
    )
    .join('')
}
