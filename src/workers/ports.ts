/**
 * The ports at which all workers are reached. ~ a window: listens.
 *
 * Where Node and the system have it (`reusePort`: Node from 23.1, Linux), each worker listens by itself and the kernel spreads
 * clients. Elsewhere the supervisor accepts and hands over (hand-out.ts). Which one it is, is tried and not looked up.
 */
import net from 'node:net'
import { listenBacklog } from '../base/limits.ts'
import type { ListenerConfig } from '../config/config.ts'
import type { ClientHandle } from './hand-out.ts'

export type ClientsFrom = 'shared' | 'handed'

/** Two servers at one port: either both stand or the second is refused. */
export async function clientsFrom(): Promise<ClientsFrom> {
  const [first, second] = [net.createServer(), net.createServer()]
  try {
    const port = await listen(first, { host: '127.0.0.1', port: 0, reusePort: true })
    await listen(second, { host: '127.0.0.1', port, reusePort: true })
    return 'shared'
  } catch {
    return 'handed'
  } finally {
    first.close()
    second.close()
  }
}

/**
 * Which ports the workers will share. Each is had alone for a moment: a port at which somebody else listens, another Regis
 * of this user perhaps, would be shared with them without a word.
 */
export async function portsToShare(listeners: readonly ListenerConfig[]): Promise<number[]> {
  const ports: number[] = []
  for (const { host, port } of listeners) {
    const server = net.createServer()
    ports.push(await listen(server, { host, port }))
    await new Promise((resolve) => server.close(resolve))
  }
  return ports
}

/** Listens for all workers; `accepted` has the handle of a client, of which nothing was read. */
export class SharedListeners {
  readonly #servers: net.Server[] = []
  readonly #accepted: (listener: number, handle: ClientHandle) => void
  readonly #failed: (message: string) => void

  constructor(accepted: (listener: number, handle: ClientHandle) => void, failed: (message: string) => void) {
    this.#accepted = accepted
    this.#failed = failed
  }

  /** Gives the ports; rejects when an address cannot be had. */
  async start(listeners: readonly ListenerConfig[]): Promise<number[]> {
    const ports: number[] = []
    for (const [index, { host, port }] of listeners.entries()) {
      const options = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true }
      const server = net.createServer(options, (socket) => {
        // As in session/listener.ts: the handle leaves its socket, which is then nothing.
        const holder = socket as unknown as { _handle: ClientHandle | null }
        const handle = holder._handle
        holder._handle = null
        if (handle !== null) this.#accepted(index, handle)
      })
      this.#servers.push(server)
      ports.push(await listen(server, { host, port, backlog: listenBacklog }))
      server.on('error', (error) => this.#failed(error.message))
    }
    return ports
  }

  stop(): void {
    for (const server of this.#servers) if (server.listening) server.close()
  }
}

/** `reusePort` is not in the types of the oldest Node that is supported. */
function listen(server: net.Server, options: net.ListenOptions & { reusePort?: boolean }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve((server.address() as net.AddressInfo).port)
    })
  })
}
