/** What `check --connect` found at the nodes, as a table and as warnings. Pure; who asks them is connect.ts. */
import type { Config } from '../config/config.ts'

export interface NodeReport {
  readonly name: string
  readonly region: string
  /** Why it could not be asked; then nothing below is known. */
  readonly problem?: string
  readonly role?: 'primary' | 'replica' | 'other'
  readonly version?: string
  readonly rttMs?: number
  /** A replica's link to its primary. */
  readonly link?: string
  /** Position in the replication stream. */
  readonly offset?: number
  /** A replica's distance to the primary, bytes of the replication stream. */
  readonly lagBytes?: number
  /** The server's clock minus ours, ms, and how wrong that may be. */
  readonly skewMs?: number
  readonly skewErrorMs?: number
  readonly isLoading?: boolean
  readonly databases?: number
  /** When the server begins to listen while a script runs. */
  readonly busyReplyMs?: number
  readonly maxmemoryPolicy?: string
  readonly minReplicasToWrite?: number
  readonly isReplicaReadOnly?: boolean
  readonly isDefaultOpen?: boolean
  /** What the login was not allowed to ask. */
  readonly unknown: readonly string[]
}

const skewMsMax = 50

/** The lag of each replica against the furthest primary. */
export function withLag(reports: readonly NodeReport[]): NodeReport[] {
  const ends = reports.flatMap((it) => (it.role === 'primary' && it.offset !== undefined ? [it.offset] : []))
  const end = Math.max(...ends)
  return reports.map((it) =>
    it.role === 'replica' && it.offset !== undefined && ends.length > 0
      ? { ...it, lagBytes: Math.max(0, end - it.offset) }
      : it,
  )
}

export function judge(reports: readonly NodeReport[], config: Config): string[] {
  const warnings: string[] = []
  const reached = reports.filter((it) => it.problem === undefined)
  const primaries = reached.filter((it) => it.role === 'primary')
  for (const it of reports) if (it.problem !== undefined) warnings.push(`${it.name}: ${it.problem}`)
  if (primaries.length === 0) warnings.push('no node is a primary: every write will be refused')
  if (primaries.length > 1 && config.discovery === undefined) {
    warnings.push(
      `more than one primary (${primaries.map((it) => it.name).join(', ')}): writes will be refused until one is left`,
    )
  }
  const [primary] = primaries
  if (primaries.length === 1 && config.primaryRegion !== undefined && primary!.region !== config.primaryRegion) {
    warnings.push(`the primary is ${primary!.name} in ${primary!.region}, the file says ${config.primaryRegion}`)
  }
  for (const it of reached) warnings.push(...judgeNode(it, config))
  const skews = reached.filter((it) => it.skewMs !== undefined)
  for (const it of skews) {
    const reference = primary?.skewMs ?? skews[0]!.skewMs!
    const error = (it.skewErrorMs ?? 0) + (primary?.skewErrorMs ?? 0)
    const apart = Math.abs(it.skewMs! - reference)
    if (apart - error > skewMsMax) {
      warnings.push(
        `${it.name}: its clock is ${Math.round(apart)} ms away from the primary's: keys expire at other times there`,
      )
    }
  }
  return warnings
}

function judgeNode(it: NodeReport, config: Config): string[] {
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(`${it.name}: ${text}`)
  if (it.role === 'other') warn('is neither a primary nor a replica (a Sentinel?)')
  if (it.isLoading) warn('is still loading its data')
  if (it.role === 'replica' && it.link !== undefined && it.link !== 'up') warn(`its link to its primary is ${it.link}`)
  if (it.isDefaultOpen)
    warn('user default is on without a password: whoever reaches the port goes around Regis and sees every tenant')
  if (it.maxmemoryPolicy?.startsWith('allkeys-') && config.tenants.length > 1) {
    warn(
      `maxmemory-policy ${it.maxmemoryPolicy}: one tenant's writes evict another's keys; volatile-* or noeviction does not`,
    )
  }
  if (it.role === 'replica' && it.isReplicaReadOnly === false)
    warn('replica-read-only is no: writes there would be lost')
  if (it.databases !== undefined)
    warnings.push(...judgeDatabases(it.databases, config).map((text) => `${it.name}: ${text}`))
  const hasScripts = config.tenants.some((tenant) => tenant.scripts !== 'off')
  if (hasScripts && it.busyReplyMs !== undefined && it.busyReplyMs >= config.upstream.timeoutMs) {
    warn(
      `busy-reply-threshold ${it.busyReplyMs}: a script that runs for longer than upstream.timeout (${config.upstream.timeoutMs} ms) costs everybody the connections; a lower one lets it be ended before`,
    )
  }
  if (it.role === 'primary' && it.minReplicasToWrite === 0) {
    warn(
      'min-replicas-to-write 0: cut off together with a proxy, an old primary can go on taking writes and strong reads',
    )
  }
  if (it.version !== undefined && Number.parseFloat(it.version) < 6.2)
    warn(`version ${it.version}: 6.2 or newer is expected`)
  if (it.unknown.length > 0) warn(`this login may not ask for ${it.unknown.join(', ')}: not checked`)
  return warnings
}

/** A tenant's own database must be there; one that nobody uses is a place to hide data in. */
function judgeDatabases(count: number, config: Config): string[] {
  const owned = config.tenants.filter((tenant) => tenant.database !== 0)
  const missing = owned.filter((tenant) => tenant.database >= count)
  const needed = Math.max(0, ...owned.map((tenant) => tenant.database)) + 1
  const warnings = missing.map(
    (tenant) =>
      `databases ${count}: there is no database ${tenant.database}, so nothing of tenant ${tenant.id} is served`,
  )
  if (count > needed) {
    const uses = needed === 1 ? 'database 0 only' : `databases up to ${needed - 1}`
    warnings.push(`databases ${count}: Regis uses ${uses}; databases ${needed} closes the others to scripts and COPY`)
  }
  return warnings
}

export function renderNodes(reports: readonly NodeReport[]): string {
  const rows = [
    ['REGION', 'NODE', 'ROLE', 'VERSION', 'RTT', 'LAG'],
    ...reports.map((it) =>
      it.problem !== undefined
        ? [it.region, it.name, `unreachable: ${it.problem}`]
        : [
            it.region,
            it.name,
            it.role ?? '?',
            it.version ?? '?',
            it.rttMs === undefined ? '?' : `${it.rttMs.toFixed(1)} ms`,
            lag(it),
          ],
    ),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...rows.filter((row) => row.length > column + 1).map((row) => row[column]?.length ?? 0)),
  )
  return rows
    .map((row) => `${row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell)).join('  ')}\n`)
    .join('')
}

function lag(it: NodeReport): string {
  if (it.role !== 'replica') return '-'
  if (it.link !== undefined && it.link !== 'up') return `link ${it.link}`
  return it.lagBytes === undefined ? '?' : `${it.lagBytes} B`
}
