/**
 * One metrics page of several workers' pages: text in, text out. Counters and histograms are summed, gauges go by the rule in
 * their row of the catalogue. Holds no socket and no clock.
 *
 *   worker's page --parse--> Series --.
 *   ...                                +-- by name and labels, by rule --> one page
 *   what the dead had counted --------'
 *
 * A counter never falls. A worker that does not answer has its counters of the last page; one that has died leaves them in
 * `ended`, added up over all the dead, so that it costs one number a series however many have died. What a worker counted
 * after its last page is lost with it.
 */
import { endedSeriesMax } from '../base/limits.ts'
import { catalogue, type MetricName, metricPrefix, type WorkersRule } from '../metrics/catalogue.ts'
import { otherTenant } from '../metrics/fold.ts'

/** One worker's page; undefined: it did not answer in time. `life` tells its starts apart. */
export interface WorkerPage {
  readonly worker: number
  readonly life: string
  readonly text: string | undefined
}

interface Family {
  readonly help: string
  readonly type: string
  /** By the sample's name with its labels, as it stands in the text. */
  readonly samples: Map<string, number>
}
type Families = Map<string, Family>

/** A tenant's samples are on the page only while the tenant has a label of its own. undefined: all have. */
export type NamedTenants = ReadonlySet<string> | undefined

export class PageOfAll {
  /** By life: the counters of its newest page. */
  readonly #last = new Map<string, Families>()
  readonly #ended: Families = new Map()
  #endedSeries = 0

  /** The pages of all who live, asked at one time. */
  merge(pages: readonly WorkerPage[], named: NamedTenants = undefined): string {
    const parsed: { readonly worker: number; readonly families: Families; readonly isNow: boolean }[] = []
    for (const { worker, life, text } of pages) {
      if (text !== undefined) {
        const families = parsePage(text)
        this.#last.set(life, countersOf(families))
        parsed.push({ worker, families, isNow: true })
      } else {
        const families = this.#last.get(life)
        if (families !== undefined) parsed.push({ worker, families, isNow: false })
      }
    }
    const all: Families = new Map()
    for (const { worker, families } of parsed)
      for (const [name, family] of families) addFamily(all, name, family, worker)
    for (const [name, { help, type, samples }] of this.#ended) {
      const into = familyOf(all, name, help, type)
      for (const [key, value] of samples) {
        if (named === undefined || isShown(key, named)) into.set(key, (into.get(key) ?? 0) + value)
      }
    }
    finishMeans(
      all,
      parsed.filter(({ isNow }) => isNow).map(({ families }) => families),
    )
    return render(all)
  }

  /** Tenants by the commands that the dead had counted of them: they may be among the busiest. */
  commandsOfTheDead(): Map<string, number> {
    const found = new Map<string, number>()
    for (const [key, value] of this.#ended.get(`${metricPrefix}commands_total`)?.samples ?? []) {
      const tenant = tenantOf(key)
      if (tenant !== undefined && tenant !== otherTenant) found.set(tenant, (found.get(tenant) ?? 0) + value)
    }
    return found
  }

  /** That start of a worker is over: what it had last counted stays. */
  ended(life: string): void {
    const last = this.#last.get(life)
    if (last === undefined) return
    this.#last.delete(life)
    for (const [name, { help, type, samples }] of last) {
      const into = familyOf(this.#ended, name, help, type)
      for (const [key, value] of samples) {
        // Bounded: beyond it tenants are added to those without a label.
        const isKept = into.has(key) || this.#endedSeries < endedSeriesMax
        const to = isKept ? key : withoutTenant(key)
        if (to === undefined) continue
        if (!into.has(to)) this.#endedSeries++
        into.set(to, (into.get(to) ?? 0) + value)
      }
    }
  }
}

function parsePage(text: string): Families {
  const families: Families = new Map()
  let help = ''
  let samples: Map<string, number> | undefined
  for (const line of text.split('\n')) {
    if (line.startsWith('# HELP ')) help = line.slice(line.indexOf(' ', 7) + 1)
    else if (line.startsWith('# TYPE ')) {
      const [name = '', type = ''] = line.slice(7).split(' ')
      samples = new Map()
      families.set(name, { help, type, samples })
    } else if (line !== '' && !line.startsWith('#') && samples !== undefined) {
      const at = line.lastIndexOf(' ')
      samples.set(line.slice(0, at), numberOf(line.slice(at + 1)))
    }
  }
  return families
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  return text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text)
}

function countersOf(families: Families): Families {
  return new Map([...families].filter(([, { type }]) => type !== 'gauge'))
}

function familyOf(all: Families, name: string, help: string, type: string): Map<string, number> {
  let family = all.get(name)
  if (family === undefined) {
    family = { help, type, samples: new Map() }
    all.set(name, family)
  }
  return family.samples
}

function addFamily(all: Families, name: string, { help, type, samples }: Family, worker: number): void {
  const into = familyOf(all, name, help, type)
  const rule = ruleOf(name, type)
  for (const [key, value] of samples) {
    if (rule === 'worker') {
      into.set(withLabel(key, 'worker', String(worker)), value)
      continue
    }
    const before = into.get(key)
    if (before === undefined) into.set(key, value)
    else if (rule === 'max') into.set(key, Math.max(before, value))
    else if (rule === 'min') into.set(key, Math.min(before, value))
    else into.set(key, before + value) // means are divided at the end
  }
}

/** Of ours the row says it; of Node's own they add up, but for what all share, and for delays. */
export function ruleOf(name: string, type: string): WorkersRule {
  if (type !== 'gauge') return 'sum'
  const row = catalogue[name.slice(metricPrefix.length) as MetricName]
  if (name.startsWith(metricPrefix) && row?.type === 'gauge') return row.workers
  if (name === 'process_start_time_seconds') return 'min'
  return /^nodejs_eventloop_lag|^nodejs_version_info$|^process_max_fds$/.test(name) ? 'max' : 'sum'
}

/** What the sum is not yet the answer for. */
function finishMeans(all: Families, pages: readonly Families[]): void {
  for (const [name, { type, samples }] of all) {
    const rule = ruleOf(name, type)
    if (rule === 'mean')
      for (const [key, sum] of samples)
        samples.set(key, sum / pages.filter((families) => families.get(name)?.samples.has(key)).length)
    if (rule === 'usage') for (const key of samples.keys()) samples.set(key, usageOfAll(pages, name, key))
  }
}

/**
 * Each page has what is used as a part of what its worker may use. Of a limit that is divided (ops, bandwidth) the parts are on the
 * page too; of one that all count against together the uses add up; memory and keys are one figure that all know.
 */
function usageOfAll(pages: readonly Families[], name: string, key: string): number {
  const shareKey = key.replace('quota_usage_ratio', 'quota_share_ratio')
  let [sum, weights, most, shares] = [0, 0, 0, 0]
  for (const families of pages) {
    const used = families.get(name)?.samples.get(key)
    if (used === undefined) continue
    const share = families.get(`${metricPrefix}quota_share_ratio`)?.samples.get(shareKey)
    if (share !== undefined) shares++
    sum += used * (share ?? 1)
    weights += share ?? 0
    most = Math.max(most, used)
  }
  if (/quota="(memory|keys)"/.test(key)) return most
  return shares > 0 && weights > 0 ? sum / weights : sum
}

function render(all: Families): string {
  const lines: string[] = []
  for (const [name, { help, type, samples }] of all) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const [key, value] of samples) lines.push(`${key} ${textOf(value)}`)
    lines.push('')
  }
  return `${lines.join('\n')}\n`
}

function textOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}

const tenantLabel = /([{,])tenant="((?:[^"\\]|\\.)*)"/

function tenantOf(key: string): string | undefined {
  return tenantLabel.exec(key)?.[2]
}

function isShown(key: string, named: ReadonlySet<string>): boolean {
  const tenant = tenantOf(key)
  return tenant === undefined || tenant === otherTenant || named.has(tenant)
}

/** undefined: it is of no tenant, and is left out. */
function withoutTenant(key: string): string | undefined {
  return tenantLabel.test(key) ? key.replace(tenantLabel, `$1tenant="${otherTenant}"`) : undefined
}

function withLabel(key: string, label: string, value: string): string {
  const at = key.indexOf('{')
  return at < 0 ? `${key}{${label}="${value}"}` : `${key.slice(0, at + 1)}${label}="${value}",${key.slice(at + 1)}`
}
