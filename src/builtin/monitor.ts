/** MONITOR: the tenant's own traffic through this proxy. How it is shown: session/monitor.ts. */
import { errorText } from '../base/errors.ts'
import { failure, ok } from '../resp/encode.ts'
import type { Builtin } from './builtin.ts'

export const monitorBuiltins: Readonly<Record<string, Builtin>> = {
  monitor: {
    isStateful: true,
    run: (_args, session, host) =>
      host.monitor(session, session.account!.tenant!) ? ok : failure(errorText('MONITORS_MAX')),
  },
}
