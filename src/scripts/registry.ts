/**
 * The scripts of each tenant, by the sha that its clients know, and what of them runs upstream. A tenant can run by sha
 * what it has brought itself, through this proxy, and nothing else: Redis's own cache is one for all tenants.
 *
 * Bounded per tenant in count and bytes; the one that was used longest ago goes first, and its clients bring it again
 * when they are told NOSCRIPT, as after a restart of Redis.
 */
import { createHash } from 'node:crypto'
import { scriptBytesMax, tenantScriptBytesMax, tenantScriptsMax } from '../base/limits.ts'

export const sha1Hex = (text: Buffer): string => createHash('sha1').update(text).digest('hex')

/** One script of one tenant. */
export interface Script {
  /** The client's sha: of the text it sent. */
  readonly sha: string
  readonly body: Buffer
  /** The text that runs, and its sha. */
  readonly upstream: Buffer
  readonly upstreamSha: string
}

/** Under `declared` both texts are one. */
function sizeOf({ body, upstream }: Script): number {
  return body.length + (upstream === body ? 0 : upstream.length)
}

export class ScriptRegistry {
  /** In order of use. */
  readonly #scripts = new Map<string, Script>()
  #bytes = 0

  get count(): number {
    return this.#scripts.size
  }

  get bytes(): number {
    return this.#bytes
  }

  has(sha: string): boolean {
    return this.#scripts.has(sha)
  }

  /** The script, which is thereby the newest in use. */
  get(sha: string): Script | undefined {
    const script = this.#scripts.get(sha)
    if (script === undefined) return undefined
    this.#scripts.delete(sha)
    this.#scripts.set(sha, script)
    return script
  }

  add(script: Script): void {
    this.delete(script.sha)
    if (script.body.length > scriptBytesMax) return // runs, but has to be brought each time
    this.#scripts.set(script.sha, script)
    this.#bytes += sizeOf(script)
    for (const [sha] of this.#scripts) {
      if (this.#scripts.size <= tenantScriptsMax && this.#bytes <= tenantScriptBytesMax) return
      this.delete(sha)
    }
  }

  delete(sha: string): void {
    const script = this.#scripts.get(sha)
    if (script === undefined) return
    this.#scripts.delete(sha)
    this.#bytes -= sizeOf(script)
  }

  clear(): void {
    this.#scripts.clear()
    this.#bytes = 0
  }
}
