/** LATENCY, as of a server that watches no events: what it would show are the doings of all tenants. */
import { errorText } from '../base/errors.ts'
import { array, failure, integer, map } from '../resp/encode.ts'
import type { Builtin } from './builtin.ts'

/** latency.c, createLatencyReport, while latency-monitor-threshold is 0. */
const disabled =
  "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n"

export const latencyBuiltins: Readonly<Record<string, Builtin>> = {
  'latency|doctor': { run: () => ({ kind: 'verbatim', value: disabled }) },
  'latency|graph': {
    run: (args) => failure(errorText('LATENCY_NO_SAMPLES', args[2]!.toString('latin1').slice(0, 128))),
  },
  'latency|histogram': { run: () => map([]) },
  'latency|history': { run: () => array([]) },
  'latency|latest': { run: () => array([]) },
  'latency|reset': { run: () => integer(0) },
}
