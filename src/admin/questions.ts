/**
 * What a worker process is asked by the others and by their supervisor (`--workers`), and how it is put together: views, pauses, kills.
 * `Questions` is the table of all of them; answers.ts has an answer for each. What a tenant's verbs ask is
 * builtin/across.ts's part of it. No process and no channel here: who asks all of them is handed in.
 */
import { pauseMsMax, rowsShownMax, workerAnswerMs } from '../base/limits.ts'
import type { ClientQuestions } from '../builtin/across.ts'
import { mergeViews } from '../builtin/merge.ts'
import type { Resumed, Showable } from '../builtin/operator.ts'
import type { TenantCandidates } from '../metrics/fold.ts'
import type { PauseStart } from '../session/pauses.ts'
import type { SweepFigures } from '../usage/sweeper.ts'
import { type Explained, type Health, Unavailable } from './http.ts'

export interface Questions extends ClientQuestions {
  health: { payload: undefined; answer: Health }
  view: { payload: Showable; answer: unknown }
  slowlog: { payload: undefined; answer: object }
  explain: {
    payload: { readonly user: string; readonly command: string; readonly level: string | undefined }
    answer: Explained
  }
  candidates: { payload: undefined; answer: TenantCandidates }
  /** Tenants with a label of their own; undefined: as the worker itself finds. */
  metrics: { payload: ReadonlySet<string> | undefined; answer: string }
  kill: { payload: number; answer: boolean }
  pause: { payload: { readonly tenant: string; readonly ms: number }; answer: PauseStart | undefined }
  resume: { payload: string; answer: Resumed }
  /** The worker that sweeps for all (usage/told-usage.ts); `from` names it and its mark. */
  sweepMark: { payload: string; answer: undefined }
  sweepFound: { payload: { readonly from: string; readonly figures: SweepFigures }; answer: undefined }
  sweepWanted: { payload: readonly (readonly [tenant: string, keys: readonly string[]])[]; answer: undefined }
  /** Tenants that are paused there, and for how much longer, ms. */
  paused: { payload: undefined; answer: readonly (readonly [string, number])[] }
}

export type Question = keyof Questions
export type Payload<K extends Question> = Questions[K]['payload']
export type AnswerTo<K extends Question> = Questions[K]['answer']

/** Asks workers at once: the answers of those that gave one in time, in their order, and how many gave none though they serve. */
export interface Round {
  ask<K extends Question>(what: K, payload: Payload<K>, timeoutMs?: number): Promise<Answers<K>>
}

export interface Answers<K extends Question> {
  readonly answers: readonly AnswerTo<K>[]
  readonly silent: number
}

/** The process that answers by itself, and the others: everybody. */
export function roundOfAll(
  own: { answer<K extends Question>(what: K, payload: Payload<K>): AnswerTo<K> | Promise<AnswerTo<K>> },
  others: Round,
): Round {
  return {
    ask: async (what, payload, timeoutMs) => {
      const [mine, theirs] = await Promise.all([own.answer(what, payload), others.ask(what, payload, timeoutMs)])
      return { ...theirs, answers: [mine, ...theirs.answers] }
    },
  }
}

/** What operators see and do, of all workers. Rejects with Unavailable when none answers. */
export class AllWorkers {
  private readonly round: Round

  constructor(round: Round) {
    this.round = round
  }

  /** As one worker by itself shows it. What is the same for all is the first one's. */
  async view(what: Showable): Promise<object> {
    const views = await this.all('view', what)
    if (what === 'rules' || what === 'config') return views[0] as object
    const merged = mergeViews(views)
    if (what === 'status') return { ...(merged as object), workers: views.length }
    // Pages for people.
    return Array.isArray(merged) ? merged.slice(0, rowsShownMax) : (merged as object)
  }

  /** All nodes are asked by each: one worker is enough. */
  async slowlog(): Promise<object> {
    return (await this.all('slowlog', undefined))[0]!
  }

  async explain(user: string, command: string, level: string | undefined): Promise<Explained> {
    return (await this.all('explain', { user, command, level }))[0]!
  }

  async kill(id: number): Promise<boolean> {
    return (await this.all('kill', id)).includes(true)
  }

  /**
   * At rest is the tenant when it is at rest everywhere; when it is not somewhere, it goes on everywhere. undefined: there is no
   * such tenant.
   */
  async pause(tenant: string, ms: number): Promise<PauseStart | undefined> {
    const timeoutMs = Math.min(ms, pauseMsMax) / 2 + workerAnswerMs
    const { answers: starts, silent } = await this.round.ask('pause', { tenant, ms }, timeoutMs)
    if (starts.length === 0) throw new Unavailable('no worker answers')
    let [answered, blocked, waitedMs] = [0, 0, 0]
    for (const start of starts) {
      if (start?.kind === 'rest') {
        answered += start.answered
        blocked += start.blocked
        waitedMs = Math.max(waitedMs, start.waitedMs)
      }
    }
    if (silent > 0) {
      await this.round.ask('resume', tenant)
      return { kind: 'silent' }
    }
    const failed = starts.find((start) => start !== undefined && start.kind !== 'rest')
    if (failed !== undefined) {
      // Of one that another order has overtaken nothing is taken back.
      if (failed.kind === 'restless') await this.round.ask('resume', tenant)
      return failed
    }
    return starts.every((start) => start === undefined) ? undefined : { kind: 'rest', answered, blocked, waitedMs }
  }

  async resume(tenant: string): Promise<Resumed> {
    const waited = (await this.all('resume', tenant)).filter((one) => one !== undefined)
    const counts = waited.filter((one) => one !== 'not paused')
    if (counts.length > 0) return counts.reduce((a, b) => a + b, 0)
    return waited[0]
  }

  private async all<K extends Question>(
    what: K,
    payload: Payload<K>,
    timeoutMs?: number,
  ): Promise<readonly AnswerTo<K>[]> {
    const { answers } = await this.round.ask(what, payload, timeoutMs)
    if (answers.length === 0) throw new Unavailable('no worker answers')
    return answers
  }
}
