/** Bounds on what all clients hold together: bytes of unfinished requests, and replies that nobody reads. */
import { bigRequestBytesMax, clientFrontBytes } from '../base/limits.ts'
import type { Session } from './session.ts'

/** Unread output is summed up after every so many bytes of it. */
const outputLookBytes = 1024 * 1024

export class SharedBounds {
  private reservedBytes = 0
  private readonly slowReaders = new Set<Session>()
  private queuedSinceLook = 0
  private readonly maxOutputBytes: number

  /** `maxOutputBytes`: unread replies of all clients together, `limits.output`. */
  constructor(maxOutputBytes: number) {
    this.maxOutputBytes = maxOutputBytes
  }

  /** Memory for a piece of an unfinished request whose pieces then have `all` bytes; false: there is no more. */
  reserve(bytes: number, all: number): boolean {
    // Pieces of small requests always fit: large ones of some tenants must not close the connections of the others.
    if (this.reservedBytes + bytes > bigRequestBytesMax && all > clientFrontBytes) return false
    this.reservedBytes += bytes
    return true
  }

  release(bytes: number): void {
    this.reservedBytes -= bytes
  }

  /** A reply waits in this client's socket. Above the bound those who hold most are closed. */
  outputQueued(session: Session, bytes: number): void {
    this.slowReaders.add(session)
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
