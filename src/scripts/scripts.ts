/**
 * From a tenant's script command to the one that goes upstream, and back. What the client brings is kept (registry.ts);
 * what runs is that text with the prelude in front (`any`) or the text itself (`declared`).
 *
 *   EVAL body        -> EVAL body'                    body' = prelude + body
 *   EVALSHA sha      -> [SCRIPT LOAD body'] EVALSHA sha'   the first only where the node is not known to have it
 *   SCRIPT LOAD body -> SCRIPT LOAD body'             the reply is the client's own sha
 *
 * Pure but for its memory: no sockets here. Who sends it is leased-path.ts.
 */
import { type ErrorCode, errorText } from '../base/errors.ts'
import { nodeScriptsMax, readScriptBytesMax, scriptBodyBytesMax, tenantReadBytesMax } from '../base/limits.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { encodeRequest } from '../resp/encode.ts'
import { keyPrefixes } from '../tenant/databases.ts'
import { libraryMark, prepareFunction } from './functions.ts'
import { unmakeTailCalls } from './lua-source.ts'
import { scriptPrelude } from './prelude.ts'
import { type Script, ScriptRegistry, sha1Hex } from './registry.ts'
import { isError, isNoScript, likelyLine, renameInError } from './script-reply.ts'
import { luaShapes } from './shapes.ts'
import { scriptHeaderLength } from './shebang.ts'

export type ScriptMode = 'off' | 'declared' | 'any'

export interface ScriptTenantOptions {
  readonly id: string
  readonly prefix: string
  readonly scripts: ScriptMode
  /** How many it has behind its prefix; 1 unless given. */
  readonly databases?: number
}

/** A command made ready. With `reply` nothing is sent. */
export interface Prepared {
  readonly frame?: Buffer
  /** What the reply becomes for the client; undefined: the isolation check failed. */
  readonly transform?: (reply: Buffer) => Buffer | undefined
  /** The node must have this before. */
  readonly script?: Script
  /** The whole answer, of the proxy's own. */
  readonly reply?: Buffer
}

/** All scripts of one tenant. */
export class TenantScripts {
  readonly mode: ScriptMode
  readonly registry = new ScriptRegistry()
  /** In front of every name that this tenant's functions have upstream. */
  readonly mark: string
  readonly prefix: Buffer
  /** A library is loaded once, and would put one database's prefix on the keys of all. */
  readonly hasFunctions: boolean
  readonly functionPrelude: string
  private readonly prelude: string
  private readBytes = 0

  constructor(
    options: ScriptTenantOptions,
    table: CommandTable,
    prefix: Buffer,
    hasOneDatabase: boolean,
    secret: string,
  ) {
    this.mode = options.scripts
    this.prefix = prefix
    // Without a secret a mark could be guessed.
    this.hasFunctions = secret !== '' && (hasOneDatabase || this.mode === 'declared')
    this.mark = libraryMark(options.id, secret)
    const latin1 = this.prefix.toString('latin1')
    const shapes = luaShapes(table)
    const channels = Buffer.from(options.prefix).toString('latin1')
    this.prelude = this.mode === 'any' ? scriptPrelude(latin1, channels, shapes) : ''
    this.functionPrelude = scriptPrelude(latin1, channels, shapes, {
      mark: this.mark,
      isRewriting: this.mode === 'any',
    })
  }

  /** The text that runs. */
  private upstreamBody(body: Buffer): Buffer {
    if (this.mode !== 'any') return body
    const header = Math.max(0, scriptHeaderLength(body))
    const rest = body.toString('latin1', header)
    return Buffer.concat([body.subarray(0, header), Buffer.from(this.prelude + this.read(rest), 'latin1')])
  }

  /** A text with its tail calls unmade, where it may be read. */
  read(text: string): string {
    this.readBytes += text.length
    if (text.length > readScriptBytesMax || this.readBytes > tenantReadBytesMax) return text
    return unmakeTailCalls(text)
  }

  /** What a body that was brought is, remembered from now on. */
  remember(body: Buffer): Script {
    const sha = sha1Hex(body)
    const known = this.registry.get(sha)
    if (known !== undefined) return known
    const own = Buffer.from(body)
    const upstream = this.upstreamBody(own)
    const script = { sha, body: own, upstream, upstreamSha: upstream === own ? sha : sha1Hex(upstream) }
    this.registry.add(script)
    return script
  }
}

const errorReply = (code: ErrorCode, ...args: string[]): Prepared => ({
  reply: Buffer.from(`-${errorText(code, ...args)}\r\n`, 'latin1'),
})

export class Scripts {
  readonly #tenant: (id: string) => ScriptTenantOptions | undefined
  readonly #table: CommandTable
  readonly #secret: string
  /** By tenant that has run a script, one for each of its databases: what runs holds the prefix. */
  readonly #tenants = new Map<string, readonly TenantScripts[]>()
  /** Shas that a run of a node has, by `node run_id`. */
  readonly #onNode = new Map<number, { runId: string; shas: Set<string> }>()

  /** `tenant`: the configured one of that id. `secret`: what no tenant knows and all proxies of a deployment have; '' closes functions. */
  constructor(tenant: (id: string) => ScriptTenantOptions | undefined, table: CommandTable, secret: string) {
    this.#tenant = tenant
    this.#table = table
    this.#secret = secret
  }

  of(tenant: string, database = 0): TenantScripts | undefined {
    return (this.#tenants.get(tenant) ?? this.#make(tenant))?.[database]
  }

  /** The preludes of one tenant are some ten kilobytes of text. */
  #make(id: string, before?: readonly TenantScripts[]): readonly TenantScripts[] | undefined {
    const tenant = this.#tenant(id)
    if (tenant === undefined || tenant.scripts === 'off') return undefined
    const prefixes = keyPrefixes(tenant.prefix, tenant.databases ?? 1)
    const made = prefixes.map((prefix, i) => {
      const one = before?.[i]
      if (one?.mode === tenant.scripts && one.prefix.equals(prefix)) return one
      return new TenantScripts(tenant, this.#table, prefix, prefixes.length === 1, this.#secret)
    })
    this.#tenants.set(id, made)
    return made
  }

  /** Tenants are configured otherwise. Who keeps its way of running scripts keeps those that it has brought. */
  renew(): void {
    for (const [id, before] of [...this.#tenants]) {
      this.#tenants.delete(id)
      this.#make(id, before)
    }
  }

  /**
   * `args`: the whole command as the client sent it; `keys`: which of them are keys. The names upstream are put on here.
   */
  prepare(tenant: string, name: string, args: readonly Buffer[], keys: readonly number[], database = 0): Prepared {
    const mine = this.of(tenant, database)
    if (mine === undefined || (name.startsWith('f') && !mine.hasFunctions)) return errorReply('NOPERM', name)
    if (name === 'function|load' && args.at(-1)!.length > scriptBodyBytesMax) return errorReply('SCRIPT_TOO_LONG')
    const argv = [...args]
    for (const i of keys) argv[i] = Buffer.concat([mine.prefix, argv[i]!])
    switch (name) {
      case 'eval':
      case 'eval_ro':
        return this.#eval(mine, argv)
      case 'evalsha':
      case 'evalsha_ro':
        return this.#evalSha(mine, argv)
      case 'script|load':
        return this.#load(mine, argv)
      default:
        return prepareFunction(mine, name, argv)
    }
  }

  #eval(mine: TenantScripts, argv: Buffer[]): Prepared {
    const body = argv[1]!
    if (body.length > scriptBodyBytesMax) return errorReply('SCRIPT_TOO_LONG')
    if (scriptHeaderLength(body) < 0) return errorReply('SCRIPT_SHEBANG')
    const script = mine.remember(body)
    argv[1] = script.upstream
    return { frame: encodeRequest(argv), transform: (reply) => this.#toClient(mine, script, reply) }
  }

  #evalSha(mine: TenantScripts, argv: Buffer[]): Prepared {
    const sha = argv[1]!.toString('latin1').toLowerCase()
    const script = mine.registry.get(sha)
    if (script === undefined) return errorReply('NOSCRIPT')
    argv[1] = Buffer.from(script.upstreamSha)
    return { frame: encodeRequest(argv), script, transform: (reply) => this.#toClient(mine, script, reply) }
  }

  #load(mine: TenantScripts, argv: Buffer[]): Prepared {
    const body = argv[2]!
    if (body.length > scriptBodyBytesMax) return errorReply('SCRIPT_TOO_LONG')
    if (scriptHeaderLength(body) < 0) return errorReply('SCRIPT_SHEBANG')
    const script = mine.remember(body)
    argv[2] = script.upstream
    return {
      frame: encodeRequest(argv),
      transform: (reply) =>
        isError(reply)
          ? this.#toClient(mine, script, reply)
          : Buffer.from(`$${script.sha.length}\r\n${script.sha}\r\n`),
    }
  }

  #toClient(mine: TenantScripts, script: Script, reply: Buffer): Buffer {
    if (!isError(reply)) return reply
    // Somebody has flushed the scripts of a node: what is known of any is void.
    if (isNoScript(reply)) this.#onNode.clear()
    // It never was one: Redis has not kept it either.
    else if (reply.includes('Error compiling script')) mine.registry.delete(script.sha)
    const line = reply.includes(':?.') ? likelyLine(script.body.toString('latin1')) : 1
    return renameInError(reply, script.upstreamSha, script.sha, line)
  }

  // ---- what nodes have ----

  /** The request that gives a node this script, where it is not known to have it. */
  loadFor(script: Script, nodeIndex: number, runId: string): Buffer | undefined {
    const node = this.#onNode.get(nodeIndex)
    if (node?.runId === runId && node.shas.has(script.upstreamSha)) return undefined
    return encodeRequest(['SCRIPT', 'LOAD', script.upstream])
  }

  /** The node has answered such a request. */
  noteLoaded(script: Script, nodeIndex: number, runId: string, reply: Buffer | undefined): void {
    if (reply === undefined || reply[0] !== 0x24) return
    let node = this.#onNode.get(nodeIndex)
    if (node === undefined || node.runId !== runId || node.shas.size >= nodeScriptsMax) {
      node = { runId, shas: new Set() }
      this.#onNode.set(nodeIndex, node)
    }
    node.shas.add(script.upstreamSha)
  }
}
