/** What `/metrics` of a proxy says of a tenant's reads, and distributions of what was measured. Pure. */
export interface ReadSources {
  /** In the proxy's own region, by whatever node. */
  readonly local: number
  /** By a replica of another region. */
  readonly remote: number
  /** By the primary, in another region. */
  readonly primary: number
}

/** Reads of a tenant so far by where they were answered, as the proxy of `region` counts them. */
export function readsBySource(page: string, tenant: string, region: string): ReadSources {
  const sums = { local: 0, remote: 0, primary: 0 }
  for (const line of page.split('\n')) {
    const [, labels, value] = /^regis_reads_total\{(.*)\} (\S+)/.exec(line) ?? []
    if (labels === undefined || !labels.includes(`tenant="${tenant}"`)) continue
    const isLocal = labels.includes(`region="${region}"`)
    const source = isLocal ? 'local' : labels.includes('source="primary"') ? 'primary' : 'remote'
    sums[source] += Number(value)
  }
  return sums
}

export function minus(a: ReadSources, b: ReadSources): ReadSources {
  return { local: a.local - b.local, remote: a.remote - b.remote, primary: a.primary - b.primary }
}

export function plus(a: ReadSources, b: ReadSources): ReadSources {
  return { local: a.local + b.local, remote: a.remote + b.remote, primary: a.primary + b.primary }
}

export const noReads: ReadSources = { local: 0, remote: 0, primary: 0 }

export interface Distribution {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** By rank: the smallest value that so many per cent do not exceed. */
export function distribution(values: readonly number[]): Distribution {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}
