/**
 * What host names resolve to, remembered. ~ DNS. Sentinel names nodes by address or by host name, the configuration by
 * either: the same node is found by what both resolve to. The last good answer is kept when the name server fails.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Clock } from '../base/clock.ts'

const againMs = 30_000
/** After a failure: nobody may be the primary who is named by what does not resolve. */
const againAfterFailureMs = 1_000
/** Names come from Sentinels too. Deployments have a few dozen. */
const hostsMax = 256

export type Lookup = (host: string) => Promise<readonly string[]>

export const systemLookup: Lookup = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address)

export class HostAddresses {
  private readonly clock: Clock
  private readonly lookup: Lookup
  private readonly known = new Map<string, { addresses: readonly string[]; againAtMs: number }>()
  private readonly onChange: () => void

  constructor(clock: Clock, onChange: () => void, lookupHost: Lookup = systemLookup) {
    this.clock = clock
    this.onChange = onChange
    this.lookup = lookupHost
  }

  /** What is known now; asks when that is nothing or old, and says so by `onChange` when it is another. */
  of(host: string): readonly string[] {
    if (isIP(host) !== 0) return [host]
    const found = this.known.get(host)
    if (found !== undefined && this.clock.now() < found.againAtMs) return found.addresses
    if (found === undefined && this.known.size >= hostsMax) return []
    const entry = found ?? { addresses: [], againAtMs: 0 }
    entry.againAtMs = this.clock.now() + againMs
    this.known.set(host, entry)
    this.lookup(host).then(
      (addresses) => {
        if (addresses.join() === entry.addresses.join()) return
        entry.addresses = addresses
        this.onChange()
      },
      () => {
        entry.againAtMs = this.clock.now() + againAfterFailureMs
      },
    )
    return entry.addresses
  }
}
