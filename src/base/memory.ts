/** What this process has of memory, and how much it may have. Reads the process's own facts; decides nothing. */
import { totalmem } from 'node:os'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface MemoryFigures {
  /** V8's heap: in use with its garbage and its young part, and the size of the old part at which it dies. */
  readonly heapUsed: number
  readonly heapLimit: number
  /** Buffers outside of it: requests, replies, arenas. With those that nobody holds any more and that are not collected. */
  readonly buffers: number
  /** What the kernel counts. */
  readonly rss: number
}

/** Some 16 us. */
export function readMemory(): MemoryFigures {
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
  return { heapUsed, heapLimit, buffers: arrayBuffers, rss }
}

/**
 * What V8 calls the limit of its heap counts three times its young half space (16 MiB unless a flag says otherwise), which fills
 * and empties all the time. A process dies when the old part is full.
 */
const semiSpaceMiB = 16
const flags = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ')
const semiSpace = Number(/--max[-_]semi[-_]space[-_]size[= ](\d+)/.exec(flags)?.[1] ?? semiSpaceMiB)
const heapLimit = getHeapStatistics().heap_size_limit - 3 * semiSpace * 1024 * 1024

/** Of the memory of a container, or of the machine, a process that says nothing else takes this much for its own. */
const shareOfAll = 0.8

/**
 * What `limits.memory` is where it is not given: four fifths of what the control group allows, else of the machine. The rest is
 * for what this process does not see of itself: the kernel's socket buffers count there too.
 */
export function memoryLimitDefault(): number {
  const constrained = process.constrainedMemory()
  const all = totalmem()
  return Math.floor(shareOfAll * (constrained > 0 && constrained < all ? constrained : all))
}

/** Collects all garbage now: stands still for about a millisecond for each MB of objects (not of buffers). undefined: not to be had. */
export function garbageCollector(): (() => void) | undefined {
  try {
    setFlagsFromString('--expose-gc')
    const collect: unknown = runInNewContext('gc')
    return typeof collect === 'function' ? () => void collect() : undefined
  } catch {
    return undefined
  }
}
