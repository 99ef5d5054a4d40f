/** PROXY PAUSE and RESUME as the admin API has them: the same words with a status. */
import { errorText } from '../base/errors.ts'
import { pauseMsMax } from '../base/limits.ts'
import { pauseFacts, pauseTime } from '../builtin/operator.ts'
import type { PauseStart } from '../session/pauses.ts'
import type { Told } from './http.ts'

export async function pauseByHttp(
  tenant: string,
  written: string | undefined,
  pause: (tenant: string, ms: number) => Promise<PauseStart | undefined> | undefined,
): Promise<Told> {
  const ms = pauseTime(written)
  if (ms === undefined) return { status: 400, body: { error: errorText('PAUSE_TIME', pauseMsMax) } }
  const start = await pause(tenant, ms)
  if (start === undefined) return { status: 404, body: { error: errorText('PAUSE_TENANT') } }
  if (start.kind === 'rest') return { status: 200, body: { paused: tenant, ...pauseFacts(start) } }
  if (start.kind === 'silent') return { status: 409, body: { error: errorText('PAUSE_SILENT') } }
  const error =
    start.kind === 'overtaken'
      ? errorText('PAUSE_OVERTAKEN')
      : errorText('PAUSE_RESTLESS', start.inFlight, Math.round(start.waitedMs))
  return { status: 409, body: { error } }
}

export function resumeByHttp(waited: number | 'not paused' | undefined): Told {
  if (waited === undefined) return { status: 404, body: { error: errorText('PAUSE_TENANT') } }
  if (waited === 'not paused') return { status: 409, body: { error: errorText('NOT_PAUSED') } }
  return { status: 200, body: { resumed: waited } }
}
