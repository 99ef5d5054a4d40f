/**
 * The supervisor's /metrics: asks all workers for their pages, and makes one of them (aggregate.ts). First everybody is asked who
 * would have a label, so that the same tenants have one on every page. A worker that does not answer in time does not keep
 * the page; `regis_workers` says so.
 */
import { collectDefaultMetrics, Registry } from 'prom-client'
import { workerAnswerMs } from '../base/limits.ts'
import type { Sibling } from '../base/siblings.ts'
import { catalogue, metricPrefix } from '../metrics/catalogue.ts'
import { namesOfAll, type TenantCandidates } from '../metrics/fold.ts'
import { PageOfAll, type WorkerPage } from './aggregate.ts'
import type { SupervisorLinks } from './link.ts'
import { question } from './questions.ts'

export interface WorkersPageOptions {
  readonly links: Pick<SupervisorLinks, 'askAll'>
  /** Workers that there should be, and those that run. */
  readonly count: number
  running(): readonly Sibling[]
  /** The supervisor's own process_* and nodejs_*; off in tests. */
  readonly defaults?: boolean
}

const lifeOf = ({ index, incarnation }: Sibling): string => `${index}/${incarnation}`

export class WorkersPage {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #options: WorkersPageOptions
  readonly #pages = new PageOfAll()
  readonly #own = new Registry()

  constructor(options: WorkersPageOptions) {
    this.#options = options
    if (options.defaults !== false) collectDefaultMetrics({ register: this.#own })
    for (const what of ['handles', 'requests', 'resources']) this.#own.removeSingleMetric(`nodejs_active_${what}_total`)
  }

  /** That process has ended: what it had last counted stays on the page. */
  ended(worker: Sibling): void {
    this.#pages.ended(lifeOf(worker))
  }

  async render(): Promise<string> {
    const { links, count, running } = this.#options
    const candidates = await links.askAll(question, { what: 'candidates', payload: undefined }, workerAnswerMs)
    const known = candidates.flatMap(({ value }) => (value === undefined ? [] : [value as TenantCandidates]))
    const names = namesOfAll(known, this.#pages.commandsOfTheDead())
    const before = running()
    const answers = await links.askAll(question, { what: 'metrics', payload: names }, workerAnswerMs)
    const lives = new Set(running().map(lifeOf))
    // One that has ended meanwhile has been taken leave of, with its page before.
    const pages: WorkerPage[] = before.flatMap((worker) => {
      if (!lives.has(lifeOf(worker))) return []
      const text = answers.find((answer) => answer.worker === worker.index)?.value as string | undefined
      return [{ worker: worker.index, life: lifeOf(worker), text }]
    })
    const answered = pages.filter(({ text }) => text !== undefined).length
    const own = await this.#own.metrics()
    const states = { answered, silent: pages.length - answered, missing: Math.max(0, count - pages.length) }
    return this.#pages.merge(
      [...pages, { worker: -1, life: 'supervisor', text: `${own}\n${workersText(states)}` }],
      names,
    )
  }
}

function workersText(states: Readonly<Record<string, number>>): string {
  const name = `${metricPrefix}workers`
  const lines = Object.entries(states).map(([state, value]) => `${name}{state="${state}"} ${value}`)
  return [`# HELP ${name} ${catalogue.workers.help}`, `# TYPE ${name} gauge`, ...lines, ''].join('\n')
}
