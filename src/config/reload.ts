/**
 * From the file as it is now to what a running proxy would take of it, and the order of such attempts. Nothing here changes
 * a proxy: `apply` is handed in, and is called in one turn with a configuration that was found good as a whole.
 *
 *   run --> (one at a time) --> prepare: load, compare, refuse --> apply --> outcome
 *      \--> asked for while one runs: one more behind it, for all who ask meanwhile, since the file may have changed
 */
import { isDeepStrictEqual } from 'node:util'
import { type Change, changesBetween, refusalOf } from './changes.ts'
import type { Config, TenantConfig } from './config.ts'
import type { Diagnostic } from './diagnostics.ts'
import { type LoadOptions, loadConfig } from './load.ts'

export interface Prepared {
  /** There exactly when `errors` is empty. */
  readonly config?: Config
  readonly changes: readonly Change[]
  readonly errors: readonly Diagnostic[]
  readonly warnings: readonly Diagnostic[]
  /** See Loaded.files. */
  readonly files: readonly string[]
}

/** Reads files; synchronous, and as long as the file is large: see reload-thread.ts. */
export function prepareReload(file: string, options: LoadOptions, running: Config): Prepared {
  const { config: loaded, errors, warnings, files, place } = loadConfig(file, options)
  if (loaded === undefined) return { changes: [], errors, warnings, files }
  const config = { ...loaded, tenants: keepingSame(running.tenants, loaded.tenants) }
  const changes = changesBetween(running, config)
  const refusals = changes.flatMap((change) => {
    const message = refusalOf(change)
    return message === undefined ? [] : [place(change.steps, message)]
  })
  return { ...(refusals.length === 0 ? { config } : {}), changes, errors: refusals, warnings, files }
}

/** Tenants of which nothing has changed are the very same objects, so that whoever keeps something of them can tell. */
function keepingSame(running: readonly TenantConfig[], next: readonly TenantConfig[]): TenantConfig[] {
  const before = new Map(running.map((tenant) => [tenant.id, tenant]))
  return next.map((tenant) => {
    const was = before.get(tenant.id)
    return was !== undefined && isDeepStrictEqual(was, tenant) ? was : tenant
  })
}

export interface ReloadOutcome {
  readonly ok: boolean
  readonly changes: readonly Change[]
  readonly errors: readonly Diagnostic[]
  readonly warnings: readonly Diagnostic[]
}

export interface ReloaderOptions {
  /** Rejects only for what is a fault of ours. */
  prepare(): Promise<Prepared>
  /**
   * Makes ready what can be made beforehand; gives what does all else that may fail, in one turn, which gives what takes the
   * configuration, whole, in the same turn. Of several processes: when all have it. `warn` adds to what is said of an attempt that
   * went well.
   */
  apply(config: Config, warn: (warning: Diagnostic) => void): Promise<() => () => void>
  /** The latter has failed: what runs now is neither the old configuration nor the new one. */
  broken(error: unknown): void
  /** Not for dry runs. */
  done(outcome: ReloadOutcome, why: string): void
}

export type ReloadKind = 'reload' | 'dry run'

export class Reloader {
  readonly #options: ReloaderOptions
  #last: Promise<unknown> = Promise.resolve()
  /** Asked for and not begun. */
  readonly #waiting = new Map<ReloadKind, Promise<ReloadOutcome>>()

  constructor(options: ReloaderOptions) {
    this.#options = options
  }

  /** `why`: who asked, for the log. A dry run tells what would become of it and changes nothing. */
  run(why: string, kind: ReloadKind = 'reload'): Promise<ReloadOutcome> {
    const waiting = this.#waiting.get(kind)
    if (waiting !== undefined) return waiting
    const mine = this.#last.then(() => {
      this.#waiting.delete(kind)
      return this.#once(why, kind)
    })
    this.#waiting.set(kind, mine)
    this.#last = mine.catch(() => {})
    return mine
  }

  async #once(why: string, kind: ReloadKind): Promise<ReloadOutcome> {
    const outcome = await this.#attempt(kind)
    if (kind === 'reload') this.#options.done(outcome, why)
    return outcome
  }

  async #attempt(kind: ReloadKind): Promise<ReloadOutcome> {
    let take: (() => void) | undefined
    let outcome: ReloadOutcome
    try {
      const { config, changes, errors, warnings: prepared } = await this.#options.prepare()
      const warnings = [...prepared]
      outcome = { ok: config !== undefined, changes, errors, warnings }
      if (kind === 'reload' && config !== undefined)
        take = (await this.#options.apply(config, (warning) => void warnings.push(warning)))()
    } catch (error) {
      const message = `a fault of the proxy's own: ${error instanceof Error ? error.message : String(error)}`
      return { ok: false, changes: [], errors: [{ severity: 'error', file: '-', message }], warnings: [] }
    }
    try {
      take?.()
    } catch (error) {
      this.#options.broken(error)
      throw error
    }
    return outcome
  }
}
