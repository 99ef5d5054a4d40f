/**
 * Messages between the supervisor and its workers, over the channel that Node opens between a process and its child.
 * Nothing here touches the channel or a clock: what sends, and timers, are handed in.
 *
 *   ask(kind, payload) --> {ask, id, kind, payload} --> handle(kind, fn)
 *        promise       <-- {reply, id, value | error} <--
 *   tell(kind, payload) --> {tell, kind, payload} --> handle(kind, fn)       no answer
 *
 * A kind is a name with the types of both ends: `const page = kindOf<undefined, string>('metrics page')`. Whoever adds one
 * needs no table. Messages of one end arrive in the order in which they were sent; their answers may overtake each other.
 */

/** What is asked for, and what comes back. `name` is all that travels. */
export interface Kind<Payload, Value> {
  readonly name: string
  /** For the compiler only. */
  readonly types?: readonly [Payload, Value]
}

export function kindOf<Payload, Value = void>(name: string): Kind<Payload, Value> {
  return { name }
}

/** Plain data, as v8.serialize takes it: Maps, typed arrays, Infinity and undefined arrive as they left. */
export type Message =
  | { readonly ask: number; readonly kind: string; readonly payload: unknown }
  | { readonly tell: string; readonly payload: unknown }
  | { readonly reply: number; readonly value: unknown }
  | { readonly reply: number; readonly error: string }

export interface LinkTimers {
  /** Runs once after `ms`; gives what takes it back. */
  after(ms: number, run: () => void): () => void
}

/** Questions of one end without an answer. A peer that hangs is found long before so many stand. */
export const pendingMax = 10_000

export type Handler<Payload, Value> = (payload: Payload) => Value | Promise<Value>
export type IndexedHandler<Payload, Value> = (payload: Payload, worker: number) => Value | Promise<Value>
type AnyHandler = (payload: unknown, worker: number) => unknown

/** Another process could not be asked, did not answer in time, or answered with an error (its message). */
export class LinkError extends Error {}

/** One end of one channel. */
export class Link {
  readonly #send: (message: Message) => void
  readonly #timers: LinkTimers
  readonly #handlers: Map<string, AnyHandler>
  readonly #peer: number
  readonly #pending = new Map<number, { done(value: unknown): void; fail(error: Error): void; forget(): void }>()
  #nextId = 1
  #closed: string | undefined

  /** `handlers`: shared by all links of a supervisor; `peer`: the worker at the other end, or -1 for the supervisor. */
  constructor(
    send: (message: Message) => void,
    timers: LinkTimers,
    peer = -1,
    handlers = new Map<string, AnyHandler>(),
  ) {
    this.#send = send
    this.#timers = timers
    this.#peer = peer
    this.#handlers = handlers
  }

  /** Rejects with a LinkError: no answer in time, the peer has no such handler or its handler failed, the channel is closed. */
  ask<P, V>(kind: Kind<P, V>, payload: P, timeoutMs: number): Promise<V> {
    if (this.#closed !== undefined) return Promise.reject(new LinkError(this.#closed))
    if (this.#pending.size >= pendingMax) return Promise.reject(new LinkError('too many questions without an answer'))
    const id = this.#nextId++
    return new Promise<V>((resolve, reject) => {
      const forget = this.#timers.after(timeoutMs, () => {
        this.#pending.delete(id)
        reject(new LinkError(`no answer within ${timeoutMs} ms`))
      })
      this.#pending.set(id, { done: resolve as (value: unknown) => void, fail: reject, forget })
      this.#send({ ask: id, kind: kind.name, payload })
    })
  }

  /** Nobody says whether it has arrived. */
  tell<P>(kind: Kind<P, void>, payload: P): void {
    if (this.#closed === undefined) this.#send({ tell: kind.name, payload })
  }

  /** One handler a kind: a second one is a mistake. */
  handle<P, V>(kind: Kind<P, V>, handler: Handler<P, V>): void {
    addHandler(this.#handlers, kind.name, handler as AnyHandler)
  }

  /** What came over the channel. False: it was no message of a link's. */
  take(message: unknown): boolean {
    if (typeof message !== 'object' || message === null) return false
    if ('reply' in message) this.#takeReply(message as Extract<Message, { reply: number }>)
    else if ('ask' in message) void this.#answer(message as Extract<Message, { ask: number }>)
    else if ('tell' in message) {
      const { tell, payload } = message as Extract<Message, { tell: string }>
      // One that failed has nobody to tell: it is the process's fault and is not swallowed.
      void this.#handlers.get(tell)?.(payload, this.#peer)
    } else return false
    return true
  }

  /** The channel is gone: all that waits fails, now and from now on. */
  close(reason: string): void {
    if (this.#closed !== undefined) return
    this.#closed = reason
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { forget, fail } of pending) {
      forget()
      fail(new LinkError(reason))
    }
  }

  #takeReply(message: Extract<Message, { reply: number }>): void {
    const pending = this.#pending.get(message.reply)
    if (pending === undefined) return // it came too late
    this.#pending.delete(message.reply)
    pending.forget()
    if ('error' in message) pending.fail(new LinkError(message.error))
    else pending.done(message.value)
  }

  async #answer({ ask, kind, payload }: Extract<Message, { ask: number }>): Promise<void> {
    let message: Message
    try {
      const handler = this.#handlers.get(kind)
      if (handler === undefined) throw new Error(`nobody answers "${kind}"`)
      message = { reply: ask, value: await handler(payload, this.#peer) }
    } catch (error) {
      message = { reply: ask, error: error instanceof Error ? error.message : String(error) }
    }
    if (this.#closed === undefined) this.#send(message)
  }
}

function addHandler(handlers: Map<string, AnyHandler>, name: string, handler: AnyHandler): void {
  if (handlers.has(name)) throw new Error(`"${name}" has a handler`)
  handlers.set(name, handler)
}

/** What one of several answered. */
export type Answer<V> =
  | { readonly worker: number; readonly value: V; readonly error?: undefined }
  | { readonly worker: number; readonly value?: undefined; readonly error: string }

/** The supervisor's ends: one link for each worker that runs, the same handlers for all. */
export class SupervisorLinks {
  readonly #timers: LinkTimers
  readonly #handlers = new Map<string, AnyHandler>()
  readonly #links = new Map<number, Link>()

  constructor(timers: LinkTimers) {
    this.#timers = timers
    this.handle(siblingsAsk, async ({ kind, payload, timeoutMs }, from) =>
      this.#gather(
        [...this.#links.keys()].filter((worker) => worker !== from),
        { name: kind },
        payload,
        timeoutMs,
      ),
    )
  }

  /** A worker was started. Its messages go to `take`; `close` when its channel is gone. */
  open(worker: number, send: (message: Message) => void): Link {
    const link = new Link(send, this.#timers, worker, this.#handlers)
    this.#links.get(worker)?.close('another process took its place')
    this.#links.set(worker, link)
    return link
  }

  closed(worker: number, link: Link, reason: string): void {
    link.close(reason)
    if (this.#links.get(worker) === link) this.#links.delete(worker)
  }

  /** Workers that run, in order. */
  get workers(): number[] {
    return [...this.#links.keys()].sort((a, b) => a - b)
  }

  ask<P, V>(worker: number, kind: Kind<P, V>, payload: P, timeoutMs: number): Promise<V> {
    const link = this.#links.get(worker)
    return link === undefined
      ? Promise.reject(new LinkError(`worker ${worker} does not run`))
      : link.ask(kind, payload, timeoutMs)
  }

  /** All that run, at once, in order of their index. Never rejects. */
  askAll<P, V>(kind: Kind<P, V>, payload: P, timeoutMs: number): Promise<Answer<V>[]> {
    return this.#gather(this.workers, kind, payload, timeoutMs)
  }

  tell<P>(worker: number, kind: Kind<P, void>, payload: P): void {
    this.#links.get(worker)?.tell(kind, payload)
  }

  tellAll<P>(kind: Kind<P, void>, payload: P): void {
    for (const link of this.#links.values()) link.tell(kind, payload)
  }

  /** Of all workers; `worker`: who asked or told. */
  handle<P, V>(kind: Kind<P, V>, handler: IndexedHandler<P, V>): void {
    addHandler(this.#handlers, kind.name, handler as AnyHandler)
  }

  #gather<P, V>(workers: readonly number[], kind: Kind<P, V>, payload: P, timeoutMs: number): Promise<Answer<V>[]> {
    return Promise.all(
      workers.map((worker) =>
        this.ask(worker, kind, payload, timeoutMs).then(
          (value): Answer<V> => ({ worker, value }),
          (error: unknown): Answer<V> => ({ worker, error: error instanceof Error ? error.message : String(error) }),
        ),
      ),
    )
  }
}

/** A worker asks the others by way of the supervisor. */
const siblingsAsk = kindOf<{ kind: string; payload: unknown; timeoutMs: number }, Answer<unknown>[]>('ask siblings')
/** The way there and back, besides what the others may take. */
const relayMs = 1_000

/** A worker's end, and what it knows of the others. */
export class WorkerLink extends Link {
  /** All other workers that run, at once. Rejects only when the supervisor cannot be asked. */
  askSiblings<P, V>(kind: Kind<P, V>, payload: P, timeoutMs: number): Promise<Answer<V>[]> {
    const asked = this.ask(siblingsAsk, { kind: kind.name, payload, timeoutMs }, timeoutMs + relayMs)
    return asked as Promise<Answer<V>[]>
  }
}
