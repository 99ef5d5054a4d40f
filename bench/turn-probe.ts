/**
 * Loaded into a proxy by stalls.bench.ts (NODE_OPTIONS=--import): how long its event loop was busy at a stretch, without a line
 * in the proxy for it. ~ a socket, a timer, the kernel's figures.
 *
 *   a timer each ms (at most once in a turn of the loop) --> CPU of the main thread since the last one --> the longest few
 *
 * CPU and not time: on a machine that others use too, time says mostly how long one waited for a core. What is told is at most a
 * millisecond too much, what else was done between two looks. A question on REGIS_TURN_PROBE is answered with what was longest
 * since the last question; on REGIS_TURN_PROBE.gc with what is left behind a collection of all garbage.
 */
import { openSync, readSync } from 'node:fs'
import { createServer } from 'node:net'
import { PerformanceObserver } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

/** ms */
export interface Turns {
  /** On CPU, the longest first, and the time that passed meanwhile. */
  readonly longest: readonly { readonly cpu: number; readonly wall: number }[]
  /** Longest pause by kind of garbage collection, wall time. */
  readonly pauses: Readonly<Record<string, number>>
  readonly rss: number
  readonly heap: number
}

const kept = 5
/** As perf_hooks.constants.NODE_PERFORMANCE_GC_... has them. */
const kinds: Readonly<Record<number, string>> = { 1: 'young', 4: 'full', 8: 'incremental', 16: 'weak' }

const socketPath = process.env['REGIS_TURN_PROBE']
// Not in what builds the proxy before it runs.
if (socketPath !== undefined && isMainThread && process.argv[2] === 'run') begin(socketPath)

function begin(path: string): void {
  const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
  const text = Buffer.alloc(96)
  const cpuMs = (): number => {
    // The kernel brings the figure of a running thread up to date when somebody asks for that of its process.
    process.cpuUsage()
    const bytes = readSync(schedstat, text, 0, text.length, 0)
    return Number(text.toString('latin1', 0, bytes).split(' ')[0]) / 1e6
  }
  let longest: { cpu: number; wall: number }[] = []
  let pauses: Record<string, number> = {}
  let [cpuBefore, wallBefore] = [cpuMs(), performance.now()]
  const look = (): void => {
    const [cpu, wall] = [cpuMs(), performance.now()]
    const turn = { cpu: cpu - cpuBefore, wall: wall - wallBefore }
    if (longest.length < kept || turn.cpu > longest[kept - 1]!.cpu) {
      longest.push(turn)
      longest.sort((a, b) => b.cpu - a.cpu)
      longest.length = Math.min(longest.length, kept)
    }
    cpuBefore = cpuMs()
    wallBefore = wall
  }
  setInterval(look, 1).unref()
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const kind = kinds[(entry as unknown as { detail: { kind: number } }).detail.kind] ?? 'other'
      pauses[kind] = Math.max(pauses[kind] ?? 0, entry.duration)
    }
  }).observe({ entryTypes: ['gc'] })
  createServer((socket) => {
    socket.on('error', () => {})
    look()
    const { rss, heapUsed } = process.memoryUsage()
    const turns: Turns = { longest, pauses, rss, heap: heapUsed }
    longest = []
    pauses = {}
    socket.end(JSON.stringify(turns))
  })
    .listen(path)
    .unref()
  createServer((socket) => {
    socket.on('error', () => {})
    collect()
    collect()
    socket.end(JSON.stringify(process.memoryUsage()))
  })
    .listen(`${path}.gc`)
    .unref()
}

function collect(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}
