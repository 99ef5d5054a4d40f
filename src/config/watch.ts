/**
 * Looks after the files of a configuration and says when they have changed. ~ reads the state of files, by the clock.
 *
 *   every second: a file differs from when it was read --> all of them the same for one look more --> changed()
 *
 * States are asked for instead of waited for: a Kubernetes ConfigMap swaps a symbolic link two folders up, editors write a
 * new file and rename it, network file systems tell nobody. What is asked follows links, so all of these are seen alike.
 */
import { stat } from 'node:fs/promises'

const watchEveryMs = 1_000

/** By file: which one the name leads to, and when that was last written. */
export type FileStates = ReadonlyMap<string, string>

export class FileWatch {
  readonly #changed: () => void
  readonly #everyMs: number
  /** As they were before they were last read. */
  #known: FileStates = new Map()
  #last = ''
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(changed: () => void, everyMs = watchEveryMs) {
    this.#changed = changed
    this.#everyMs = everyMs
  }

  /** To be asked for before the files are read: what is written meanwhile is news. */
  states(): Promise<FileStates> {
    return statesOf(this.#known.keys())
  }

  /** These were read, after `before` was asked for. One that is new among them counts as it is now. */
  async wereRead(files: readonly string[], before: FileStates): Promise<void> {
    const now = await statesOf(files)
    this.#known = new Map(files.map((file) => [file, before.get(file) ?? now.get(file)!]))
    if (this.#timer === undefined && !this.#isStopped) this.#plan()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #plan(): void {
    this.#timer = setTimeout(() => void this.#look(), this.#everyMs).unref()
  }

  async #look(): Promise<void> {
    const known = this.#known
    const now = await statesOf(known.keys())
    if (this.#isStopped) return
    const text = textOf(now)
    const isSettled = text === this.#last
    this.#last = text
    if (known === this.#known && isSettled && text !== textOf(known)) {
      // Once for each state: what is refused is not tried again before it is written again.
      this.#known = now
      this.#changed()
    }
    this.#plan()
  }
}

function textOf(states: FileStates): string {
  return [...states].map(([file, state]) => `${file} ${state}`).join('\n')
}

async function statesOf(files: Iterable<string>): Promise<FileStates> {
  return new Map(await Promise.all([...files].map(async (file) => [file, await stateOf(file)] as const)))
}

/** A file that is not there is in a state too. */
async function stateOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}
