/**
 * Settings of the primary that tenants may read (config.ts names them), asked for now and then: what was known is shown
 * at once and asked for again when it is old, so nobody waits but the first, and that one not for long.
 */
import { encodeRequest } from '../resp/encode.ts'
import { decode } from '../resp/reply-walk.ts'
import type { Answer } from '../upstream/service.ts'
import { defaultSettings, sharedSettings } from './config.ts'

export interface SettingsOptions {
  primary(): number | undefined
  now(): number
  after(ms: number, run: () => void): void
  ask(node: number, request: Uint8Array): Promise<Answer>
}

const freshMs = 5_000
const waitMs = 250

export class SharedSettings {
  private readonly options: SettingsOptions
  private known: ReadonlyMap<string, string> = new Map(Object.entries(defaultSettings))
  private askedAtMs = Number.NEGATIVE_INFINITY
  private asking: Promise<void> | undefined
  private hasAnswer = false

  constructor(options: SettingsOptions) {
    this.options = options
  }

  async get(): Promise<ReadonlyMap<string, string>> {
    const { now, after } = this.options
    if (this.asking === undefined && now() - this.askedAtMs > freshMs) {
      this.askedAtMs = now()
      this.asking = this.ask()
        .catch(() => {})
        .finally(() => {
          this.asking = undefined
        })
    }
    if (!this.hasAnswer && this.asking !== undefined) {
      await Promise.race([this.asking, new Promise<void>((resolve) => after(waitMs, resolve))])
    }
    return this.known
  }

  private async ask(): Promise<void> {
    const primary = this.options.primary()
    if (primary === undefined) return
    // By name, never by pattern: passwords are settings too. Servers before 7.0 take one name at a time.
    const all = await this.values(primary, sharedSettings)
    const few = all ?? (await Promise.all(Object.keys(defaultSettings).map((name) => this.values(primary, [name]))))
    const known = Array.isArray(few) ? new Map(few.flatMap((one) => [...(one ?? [])])) : few
    // Refused (a service that has no CONFIG): the defaults stay.
    if (known.size === 0) return
    this.hasAnswer = true
    this.known = known
  }

  private async values(node: number, names: readonly string[]): Promise<Map<string, string> | undefined> {
    const answer = await this.options.ask(node, encodeRequest(['CONFIG', 'GET', ...names]))
    const reply = typeof answer === 'string' ? undefined : decode(answer)
    if (!Array.isArray(reply)) return undefined
    const found = new Map<string, string>()
    for (let i = 0; i + 1 < reply.length; i += 2) found.set(String(reply[i]), String(reply[i + 1]))
    return found
  }
}
