/** What a server tells of its own accord (MONITOR, subscriptions), as text, with the time at which it was heard. */
import { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'

export class Ears {
  readonly lines: { readonly text: string; readonly atMs: number }[] = []
  readonly #client: RawClient
  #isOver = false
  #work: Promise<void>

  private constructor(client: RawClient) {
    this.#client = client
    this.#work = this.#listen()
  }

  static async open(port: number, ...request: readonly string[]): Promise<Ears> {
    const client = await RawClient.open(port)
    client.send(command(...request))
    await client.read()
    return new Ears(client)
  }

  async #listen(): Promise<void> {
    try {
      while (!this.#isOver) {
        const text = String(await this.#client.read(2 ** 31 - 1))
        this.lines.push({ text, atMs: Date.now() })
      }
    } catch {
      // Closed, by us or with the server: a demoted one closes all its clients.
    }
  }

  async close(): Promise<void> {
    this.#isOver = true
    this.#client.close()
    await this.#work
  }
}
