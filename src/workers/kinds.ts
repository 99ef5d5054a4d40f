/** What supervisor and workers say to each other about running; what they show and count is in files of its own. */
import type { Health } from '../admin/http.ts'
import type { Config } from '../config/config.ts'
import type { Diagnostic } from '../config/load.ts'
import type { Prepared, ReloadKind, ReloadOutcome } from '../config/reload.ts'
import { kindOf } from './link.ts'
import type { ClientsFrom } from './ports.ts'

/** Worker to supervisor: its first word; with the answer it can build its proxy. */
export const helloAsk = kindOf<undefined, Welcome>('hello')
export interface Welcome {
  /** What runs, which need not be what is in the file. */
  readonly config: Config
  readonly version: string
  readonly clientsFrom: ClientsFrom
  readonly ports: readonly number[]
  /** No client has had an id from here on. */
  readonly clientIdsFrom: number
}

/** Worker to supervisor: it serves. */
export const readyTold = kindOf<Beat>('ready')
/** Worker to supervisor: it cannot start, and ends. */
export const failedTold = kindOf<Failure>('failed')
export interface Failure {
  readonly message: string
  /** Of a configuration that it cannot run. */
  readonly diagnostics?: readonly Diagnostic[]
}

/** Supervisor to worker: a sign of life. */
export const beatAsk = kindOf<undefined, Beat>('beat')
export interface Beat {
  /** undefined: it is starting. */
  readonly health?: Health
  readonly clients: number
  /** Above all ids that it has given to clients. */
  readonly nextClientId: number
}

/** Worker to supervisor: the client of this number is its own. */
export const takenTold = kindOf<number>('taken')

/** Supervisor to worker: take this configuration, or, where it has none, count that one was refused. */
export const takeAsk = kindOf<{ readonly prepared: Prepared; readonly by: string }, ReloadOutcome>('take configuration')
/** Worker to supervisor, for an operator: all reload. */
export const reloadAsk = kindOf<{ readonly by: string; readonly kind: ReloadKind }, ReloadOutcome>('reload')

/** Supervisor to worker: no new clients, each goes after its last reply; answered when all are gone. */
export const drainAsk = kindOf<undefined>('drain')
/** Worker to supervisor, for an operator: all drain. */
export const drainAllTold = kindOf<undefined>('drain all')
/** Supervisor to worker: end now. */
export const stopTold = kindOf<undefined>('stop')

/** Supervisor to worker, beside the link, since a handle goes with it. */
export interface ClientMessage {
  readonly regisClient: number
  readonly listener: number
}
export function isClientMessage(message: unknown): message is ClientMessage {
  return typeof message === 'object' && message !== null && 'regisClient' in message
}

/** The variable that makes a process a worker: a WorkerPlace as JSON. */
export const placeVariable = 'REGIS_WORKER'
