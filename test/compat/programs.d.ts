/** Packages that ship without types; this is what test/compat uses of them. */
declare module 'redlock' {
  interface Lock {
    readonly resource: string[]
    readonly value: string
    readonly expiration: number
    extend(ttlMs: number): Promise<Lock>
    unlock(): Promise<void>
  }
  class Redlock {
    constructor(
      clients: readonly unknown[],
      options?: { retryCount?: number; retryDelay?: number; retryJitter?: number },
    )
    lock(resource: string | string[], ttlMs: number): Promise<Lock>
    unlock(lock: Lock): Promise<void>
  }
  export = Redlock
}

declare module 'express-session' {
  import { EventEmitter } from 'node:events'
  import type { IncomingMessage, ServerResponse } from 'node:http'

  function session(options: {
    secret: string
    store: unknown
    resave: boolean
    saveUninitialized: boolean
    genid?: () => string
    cookie?: { maxAge?: number }
    rolling?: boolean
  }): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void
  namespace session {
    class Store extends EventEmitter {}
    interface SessionData {
      [name: string]: unknown
    }
  }
  export = session
}
