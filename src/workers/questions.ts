/** The questions of admin/questions.ts over links: from a worker to the others, and from the supervisor to all. Pure. */
import type { Answers, AnswerTo, Payload, Question, Round } from '../admin/questions.ts'
import { workerAnswerMs } from '../base/limits.ts'
import { type Answer, kindOf, type SupervisorLinks, type WorkerLink } from './link.ts'

interface Asked {
  readonly what: Question
  readonly payload: unknown
}

export const question = kindOf<Asked, unknown>('question')

/** A worker's: all others. */
export function roundOfOthers(link: Pick<WorkerLink, 'askSiblings'>): Round {
  return {
    ask: async (what, payload, timeoutMs = workerAnswerMs) => {
      try {
        return sorted(await link.askSiblings(question, { what, payload }, timeoutMs))
      } catch {
        return { answers: [], silent: 1 } // nobody was reached: whoever needs all of them must not take that for an answer
      }
    },
  }
}

/** The supervisor's: all. */
export function roundOfWorkers(links: Pick<SupervisorLinks, 'askAll'>): Round {
  return {
    ask: async (what, payload, timeoutMs = workerAnswerMs) =>
      sorted(await links.askAll(question, { what, payload }, timeoutMs)),
  }
}

/** A worker answers both. */
export function answerQuestions(
  link: Pick<WorkerLink, 'handle'>,
  proxy: { answer<K extends Question>(what: K, payload: Payload<K>): AnswerTo<K> | Promise<AnswerTo<K>> },
): void {
  link.handle(question, ({ what, payload }) => proxy.answer(what, payload as Payload<typeof what>))
}

/** One that has ended, or has not begun to serve, has no clients: it is not silent. */
const isNobody = /^(nobody answers|worker \d+ (has ended|does not run)|another process took its place)/

function sorted<K extends Question>(given: readonly Answer<unknown>[]): Answers<K> {
  const answers: AnswerTo<K>[] = []
  let silent = 0
  for (const answer of given) {
    if (answer.error === undefined) answers.push(answer.value as AnswerTo<K>)
    else if (!isNobody.test(answer.error)) silent++
  }
  return { answers, silent }
}
