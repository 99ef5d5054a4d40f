/** A Regis with several workers, as tests look at it: which processes they are, and at which of them a client is. */
import { workerOfClient } from '../../src/base/siblings.ts'
import type { RawClient } from './raw-client.ts'
import type { StartedProxy } from './servers.ts'

/** Process ids by index: of the newest of each that has said that it serves. */
export function workerPids({ proxy }: StartedProxy): number[] {
  const pids: number[] = []
  for (const line of proxy.log().split('\n')) {
    if (!line.includes('"msg":"listening"')) continue
    const { worker, pid } = JSON.parse(line) as { worker?: number; pid: number }
    if (worker !== undefined) pids[worker] = pid
  }
  return pids
}

export async function workerOf(client: RawClient, count: number): Promise<number> {
  return workerOfClient((await client.call('CLIENT', 'ID')) as number, count)
}

/** A client of this user at each worker, in the order of their index. */
export async function clientAtEach(proxy: StartedProxy, count: number, user: string): Promise<RawClient[]> {
  const clients: RawClient[] = []
  for (let tries = 0; tries < 20 * count; tries++) {
    const client = await proxy.client(user)
    const worker = await workerOf(client, count)
    if (clients[worker] === undefined) clients[worker] = client
    else client.close()
    if (clients.filter((one) => one !== undefined).length === count) return clients
  }
  const { body } = await proxy.proxy.fetch('/api/v1/status')
  throw new Error(`no client at each of ${count} workers: ${body.slice(0, 2_000)}\n${proxy.proxy.log().slice(-2_000)}`)
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
