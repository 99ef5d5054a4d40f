/**
 * From a proxy's metrics page and the load's own timings to the line that the demo shows for its region. Pure: text and
 * numbers in, text out.
 */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The samples of a Prometheus text page. Lines that are none are passed over. */
export function parseMetrics(page: string): Sample[] {
  const samples: Sample[] = []
  for (const line of page.split('\n')) {
    const [, name, labelText, value] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line) ?? []
    if (name === undefined || value === undefined) continue
    const labels: Record<string, string> = {}
    for (const [, key = '', text = ''] of (labelText ?? '').matchAll(/([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = text.replace(/\\(.)/g, (_, sign: string) => (sign === 'n' ? '\n' : sign))
    }
    samples.push({ name, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) })
  }
  return samples
}

/** What one look at a proxy's page says, counters since its start. */
export interface Reading {
  readonly atMs: number
  readonly commands: number
  readonly reads: number
  /** Reads served by a node of the proxy's own region, its primary included. */
  readonly localReads: number
  readonly fallbacks: Readonly<Record<string, number>>
  /** Of the replica in the proxy's own region; undefined for a region with the primary, or while nothing is known. */
  readonly lagMs: number | undefined
}

export function readMetrics(page: string, region: string, atMs: number): Reading {
  let commands = 0
  let reads = 0
  let localReads = 0
  let lagMs: number | undefined
  let lagAgeMs: number | undefined
  const fallbacks: Record<string, number> = {}
  for (const { name, labels, value } of parseMetrics(page)) {
    switch (name) {
      case 'regis_commands_total':
        commands += value
        break
      case 'regis_reads_total':
        reads += value
        if (labels['region'] === region) localReads += value
        break
      case 'regis_read_fallbacks_total': {
        const reason = labels['reason'] ?? 'other'
        fallbacks[reason] = (fallbacks[reason] ?? 0) + value
        break
      }
      case 'regis_replication_lag_seconds':
        if (labels['region'] === region && Number.isFinite(value)) lagMs = Math.max(lagMs ?? 0, value * 1000)
        break
      case 'regis_replication_lag_age_seconds':
        if (labels['region'] === region && Number.isFinite(value)) lagAgeMs = Math.max(lagAgeMs ?? 0, value * 1000)
        break
    }
  }
  // At rest a watermark is up to 2 s old and says nothing bad; past that, its age is what the replica lags at least.
  if (lagMs !== undefined && lagAgeMs !== undefined && lagAgeMs > quietAgeMs) lagMs = Math.max(lagMs, lagAgeMs)
  return { atMs, commands, reads, localReads, fallbacks, lagMs }
}

const quietAgeMs = 2500

/** Median latencies of the load's own commands in ms; undefined where there were none. */
export interface Latencies {
  readonly bounded: number | undefined
  readonly write: number | undefined
  readonly strong: number | undefined
}

export interface RegionState {
  readonly region: string
  readonly isPrimary: boolean
  /** Two looks, the older first; undefined while the proxy does not answer. */
  readonly before: Reading | undefined
  readonly now: Reading | undefined
  readonly latencies: Latencies
  /** Error replies and lost connections of the load since the line before, by first word. */
  readonly errors: Readonly<Record<string, number>>
  /** What a person did to this region: "cut off", "lag +2 s". */
  readonly notes: readonly string[]
}

export function statusLine(state: RegionState, width: number): string {
  const { before, now } = state
  const head = state.region.padEnd(width)
  const columns: string[] = []
  if (before === undefined || now === undefined || now.atMs <= before.atMs || now.commands < before.commands) {
    columns.push(now === undefined ? 'proxy does not answer' : 'starting')
  } else {
    const perSecond = (count: number) => (count * 1000) / (now.atMs - before.atMs)
    const reads = now.reads - before.reads
    columns.push(
      `${perSecond(now.commands - before.commands)
        .toFixed(0)
        .padStart(5)} ops/s`,
    )
    columns.push(
      reads > 0 ? `reads ${percent(now.localReads - before.localReads, reads).padStart(4)} local` : 'reads    - local',
    )
    const reasons: string[] = []
    let fallbacks = 0
    for (const [reason, count] of Object.entries(now.fallbacks)) {
      const more = perSecond(count - (before.fallbacks[reason] ?? 0))
      if (more <= 0) continue
      fallbacks += more
      reasons.push(`${reason} ${rounded(more)}`)
    }
    const why = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
    columns.push(`fallbacks ${rounded(fallbacks)}/s${why}`.padEnd(28))
    columns.push((state.isPrimary ? 'primary' : `lag ${milliseconds(now.lagMs)}`).padEnd(11))
  }
  const { bounded, write, strong } = state.latencies
  if (bounded !== undefined || write !== undefined || strong !== undefined) {
    columns.push(
      `bounded read ${milliseconds(bounded)}, write ${milliseconds(write)}, strong read ${milliseconds(strong)}`,
    )
  }
  const errors = Object.entries(state.errors).map(([word, count]) => `${word} x${count}`)
  if (errors.length > 0) columns.push(`errors: ${errors.join(', ')}`)
  if (state.notes.length > 0) columns.push(`[${state.notes.join(', ')}]`)
  return `${head}  ${columns.join('  ')}`.trimEnd()
}

function percent(part: number, whole: number): string {
  return `${Math.round((100 * part) / whole)}%`
}

function rounded(value: number): string {
  return value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1)
}

function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return '-'
  return ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}

/** Middle value; undefined for none. */
export function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[sorted.length >> 1]
}
