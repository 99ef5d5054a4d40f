/** Bounds on what all clients hold together: bytes of unfinished requests, and replies that nobody reads. Says when much was taken. */
import { bigRequestBytesMax, clientFrontBytes } from '../base/limits.ts'
import type { Session } from './session.ts'

/** Unread output is summed up after every so many bytes of it. */
const outputLookBytes = 1024 * 1024

/** Memory is looked at each time that clients have taken such a part of what there is for them. */
const looksPerRoom = 32

/** What watches the memory of the process (session/overload.ts). */
export interface MemoryWatch {
  readonly roomBytes: number
  readonly isBrimful: boolean
  /** Much was taken since the last look. */
  grew(): void
  /** A command was not taken because of it. */
  noteRefused(): void
}

export class SharedBounds {
  private reservedBytes = 0
  private readonly slowReaders = new Set<Session>()
  private queuedSinceLook = 0
  private maxOutputBytes: number
  private maxLargeBytes = bigRequestBytesMax
  private maxRequestBytes = Number.POSITIVE_INFINITY
  private grown = 0
  private lookBytes = Number.POSITIVE_INFINITY
  private memory: MemoryWatch | undefined
  /** The part of the memory that is there for replies. */
  private outputPart = Number.POSITIVE_INFINITY

  constructor(maxOutputBytes: number) {
    this.maxOutputBytes = maxOutputBytes
  }

  /**
   * With little memory the bounds are narrower: a third of what is there for clients each, so that neither requests nor
   * replies can use it up by themselves, however fast they come.
   */
  watch(memory: MemoryWatch): void {
    const part = memory.roomBytes / 3
    this.memory = memory
    this.outputPart = part
    this.setMaxOutput(this.maxOutputBytes)
    this.maxLargeBytes = Math.min(bigRequestBytesMax, part)
    this.maxRequestBytes = 2 * part
    this.lookBytes = Math.max(outputLookBytes, memory.roomBytes / looksPerRoom)
  }

  /** Unread replies of all clients together, `limits.output`. */
  setMaxOutput(bytes: number): void {
    this.maxOutputBytes = Math.min(bytes, this.outputPart)
  }

  /** A client has the proxy keep so much more. */
  private grow(bytes: number): void {
    this.grown += bytes
    if (this.grown >= this.lookBytes) {
      this.grown = 0
      this.memory?.grew()
    }
  }

  /** It would. False: there is no memory left for it. */
  mayGrow(bytes: number): boolean {
    this.grow(bytes)
    if (this.memory?.isBrimful !== true) return true
    this.memory.noteRefused()
    return false
  }

  /** Memory for a piece of an unfinished request whose pieces then have `all` bytes; false: there is no more. */
  reserve(bytes: number, all: number): boolean {
    // Pieces of small requests always fit: large ones of some tenants must not close the connections of the others.
    const max = all > clientFrontBytes ? this.maxLargeBytes : this.maxRequestBytes
    if (this.reservedBytes + bytes > max) return false
    if (all > clientFrontBytes) {
      if (!this.mayGrow(bytes)) return false
    } else this.grow(bytes)
    this.reservedBytes += bytes
    return true
  }

  release(bytes: number): void {
    this.reservedBytes -= bytes
  }

  /** A reply waits in this client's socket. Above the bound those who hold most are closed. */
  outputQueued(session: Session, bytes: number): void {
    this.slowReaders.add(session)
    this.grow(bytes)
    this.queuedSinceLook += bytes
    if (this.queuedSinceLook < outputLookBytes) return
    this.queuedSinceLook = 0
    let total = 0
    for (const one of this.slowReaders) {
      const held = one.outputBytes
      total += held
      if (held === 0) this.slowReaders.delete(one)
    }
    if (total <= this.maxOutputBytes) return
    for (const one of [...this.slowReaders].sort((a, b) => b.outputBytes - a.outputBytes)) {
      total -= one.outputBytes
      one.destroy('output limit')
      if (total <= this.maxOutputBytes) return
    }
  }

  forget(session: Session): void {
    this.slowReaders.delete(session)
  }
}
