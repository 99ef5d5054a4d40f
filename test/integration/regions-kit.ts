/** A tracker over real servers, ended with the tests of the importing file. */
import { silentLog } from '../../src/base/log.ts'
import type { Node, NodeAddress } from '../../src/regions/node.ts'
import { RegionTracker, type TrackerOptions } from '../../src/regions/tracker.ts'
import { atEnd } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

export function addressAt(region: string, port: number): NodeAddress {
  return { name: `127.0.0.1:${port}`, region, host: '127.0.0.1', port, tls: false }
}

export async function startTracker(
  addresses: readonly NodeAddress[],
  region: string,
  options: Partial<TrackerOptions> = {},
): Promise<RegionTracker> {
  const tracker = new RegionTracker({ addresses, region, timeoutMs: 1_000, log: silentLog, ...options })
  atEnd(() => tracker.stop())
  await tracker.start()
  return tracker
}

/** Resolves when the node has shown a mark that is sent after this call. */
export async function untilShown(tracker: RegionTracker, node: Node, timeoutMs = 10_000): Promise<void> {
  const position = tracker.marks.nextSeq
  tracker.marks.wantWithin(0)
  await waitFor(() => node.shownSeq >= position, timeoutMs, 1)
}

/** Marks at the pace of active clients until the end of the tests. */
export function keepActive(tracker: RegionTracker): void {
  const timer = setInterval(() => tracker.marks.noteActivity(performance.now()), 50)
  atEnd(() => clearInterval(timer))
}
