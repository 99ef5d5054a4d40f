/** What is said of a reload: to the log, and to people who ask for the newest one. */
import type { Log } from '../base/log.ts'
import type { ReloadOutcome } from './reload.ts'

/** So many lines of a reload are logged and shown. */
const reloadErrorsTold = 20

export interface LastReload {
  readonly at: string
  readonly by: string
  readonly ok: boolean
  readonly errors: string[]
}

export function lastReloadOf({ ok, errors }: ReloadOutcome, by: string, at: Date): LastReload {
  return { at: at.toISOString(), by, ok, errors: told(errors) }
}

export function logReload(log: Log, { ok, changes, errors, warnings }: ReloadOutcome, by: string): void {
  for (const { file, line, message } of warnings.slice(0, reloadErrorsTold))
    log.warn({ at: `${file}:${line ?? 0}` }, message)
  // Paths alone: values may be patterns of keys.
  const paths = changes.slice(0, reloadErrorsTold).map(({ path, what }) => `${path} ${what}`)
  if (ok) log.info({ by, changes: changes.length, paths }, 'configuration reloaded')
  else {
    const lines = told(errors)
    log.error({ by, errors: lines, more: errors.length - lines.length }, 'configuration refused, the old one goes on')
  }
}

function told(errors: ReloadOutcome['errors']): string[] {
  return errors.slice(0, reloadErrorsTold).map(({ file, line, message }) => `${file}:${line ?? 0}: ${message}`)
}
