/**
 * What a step of a walk costs a server, in the server's own words: the differences of its `INFO commandstats` between two
 * readings. The time that an answer takes says nothing of it: under load most of that is waiting, the proxy's own and others'.
 * The same page says how much others have the server do, so that a walk at night need not wait for nobody. Pure.
 *
 *   cmdstat_scan:calls=4200,usec=812345,usec_per_call=193.42,rejected_calls=0,failed_calls=0
 */

/** One reading. */
export interface CommandStats {
  readonly scanCalls: number
  readonly scanUsec: number
  /** Calls of all commands that are not a proxy's own upkeep. */
  readonly otherCalls: number
}

/** Ours, other proxies', Sentinel's and the replicas'. All others are somebody's work. */
const upkeep = new Set(['scan', 'info', 'ping', 'echo', 'publish', 'replconf', 'hello', 'auth', 'role', 'command'])

/** Undefined: no such page (refused, or another server's). */
export function readCommandStats(info: string): CommandStats | undefined {
  let [scanCalls, scanUsec, otherCalls, lines] = [0, 0, 0, 0]
  for (const [, name = '', calls = '', usec = ''] of info.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
    lines++
    // A subcommand is counted under its own name, `client|setinfo`.
    const command = name.split('|', 1)[0]!
    if (command === 'scan') [scanCalls, scanUsec] = [Number(calls), Number(usec)]
    else if (!upkeep.has(command) && command !== 'client') otherCalls += Number(calls)
  }
  return lines === 0 ? undefined : { scanCalls, scanUsec, otherCalls }
}

/** Buckets of a table before anything was measured: half a microsecond each is what a server with cold memory takes. */
const firstUsPerItem = 0.5
/** No server is faster, and none needs more: a reading beyond is one of a suspended machine. */
const usPerItemMin = 0.05
const usPerItemMax = 5
/** Fewer SCANs between two readings say little: one that was interrupted would count too much. */
const callsMin = 8
/** A server with less to do than this from all others, commands per second, is idle. */
const idleCallsPerSecond = 20

export class StepCost {
  usPerItem = firstUsPerItem
  /** Nobody else has it do anything, as far as the last reading knows. */
  isIdle = false
  private last: CommandStats | undefined
  private lastAtMs = 0
  private steps = 0
  private items = 0

  /** A step of ours was answered. */
  note(items: number): void {
    this.steps++
    this.items += items
  }

  /** A reading. Steps of other walkers are in it too: ours are taken to cost what the average does. */
  read(stats: CommandStats, nowMs: number): void {
    const { last } = this
    const seconds = (nowMs - this.lastAtMs) / 1000
    const calls = last === undefined ? 0 : stats.scanCalls - last.scanCalls
    // A restart, or CONFIG RESETSTAT: both begin anew. So does a walk after a long pause.
    if (last === undefined || calls < 0 || stats.otherCalls < last.otherCalls || seconds > 10) {
      this.isIdle = false
      this.restart(stats, nowMs)
      return
    }
    this.isIdle = seconds > 0 && (stats.otherCalls - last.otherCalls) / seconds < idleCallsPerSecond
    if (this.steps < callsMin || calls < this.steps) return
    const us = (stats.scanUsec - last.scanUsec) / calls / (this.items / this.steps)
    this.usPerItem += (Math.min(usPerItemMax, Math.max(usPerItemMin, us)) - this.usPerItem) / 2
    this.restart(stats, nowMs)
  }

  private restart(stats: CommandStats, nowMs: number): void {
    this.last = stats
    this.lastAtMs = nowMs
    this.steps = 0
    this.items = 0
  }
}
