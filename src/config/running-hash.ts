/** The hash of the configuration that runs, for people: made once for each, when somebody asks. */
import { Slices } from '../base/slices.ts'
import type { Config } from './config.ts'
import { configHash } from './print.ts'

export class RunningHash {
  private readonly running: () => Config
  private hashed: { readonly of: Config; readonly hash: Promise<string> } | undefined

  /** `running`: the configuration that runs now; a reload puts another in its place. */
  constructor(running: () => Config) {
    this.running = running
  }

  /** Of the one that runs when it is told, also if it has changed since it was asked for. */
  async get(): Promise<string> {
    for (;;) {
      const config = this.running()
      if (this.hashed?.of !== config) this.hashed = { of: config, hash: configHash(config, new Slices()) }
      const hash = await this.hashed.hash
      if (this.running() === config) return hash
    }
  }
}
