/**
 * PROXY SHOW, KILL, PAUSE, RESUME, RELOAD and DRAIN: for operators, who have no keys. What they are shown is what the admin API shows, as maps on
 * RESP3 and flat arrays on RESP2; no tenant may run them.
 */
import { errorText } from '../base/errors.ts'
import { pauseMsDefault, pauseMsMax } from '../base/limits.ts'
import { Entries, Rows, Slices } from '../base/slices.ts'
import { array, bulk, encodeReply, failure, integer, map, nil, ok, type Reply } from '../resp/encode.ts'
import type { PauseStart } from '../session/pauses.ts'
import type { Builtin } from './builtin.ts'

/** What can be shown, as the admin API names it. */
export const showable = ['regions', 'tenants', 'clients', 'rules', 'config', 'stats', 'status'] as const
export type Showable = (typeof showable)[number]

/** What these verbs ask of the proxy. */
export interface OperatorHost {
  /** Data as JSON has it, or Rows and Entries of such; secrets are taken out; nobody changes it any more. */
  show(what: Showable): Promise<unknown>
  /** False: there is no such connection. */
  kill(id: number): boolean | Promise<boolean>
  /** The tenant's commands wait, so long at most; undefined: there is no such tenant. */
  pause(tenant: string, ms: number): Promise<PauseStart | undefined> | undefined
  /** They go on: how many clients waited, or that it was not paused; undefined: there is no such tenant. */
  resume(tenant: string): Resumed | Promise<Resumed>
  /** Begins to drain; returns at once. */
  drain(): void
  /** Takes the configuration as it is in the file now, whole or not at all. */
  reload(): Promise<Reloaded>
}

/** Clients that waited. */
export type Resumed = number | 'not paused' | undefined

export interface Reloaded {
  readonly ok: boolean
  /** A line for each key that has changed; when it was refused, for each reason. */
  readonly lines: readonly string[]
}

const linesShownMax = 1_000

export const operatorHelp = [
  `SHOW <${showable.join('|')}>`,
  '    Show what the proxy knows, as its admin API does.',
  'KILL <client-id>',
  '    Close the connection of a client of this proxy.',
  'PAUSE <tenant> [<milliseconds>]',
  `    Have the commands of the tenant wait (default ${pauseMsDefault}, at most ${pauseMsMax}); returns when all in flight are answered.`,
  'RESUME <tenant>',
  '    Have them go on.',
  'RELOAD',
  '    Take the configuration as it is in the file now, whole or not at all.',
  'DRAIN',
  '    Accept nobody any more, and close each client after its last reply.',
]

export const operatorBuiltins: Readonly<Record<string, Builtin>> = {
  'proxy|show': {
    // Long ones are made in slices, and of several worker processes the answer takes time.
    isStateful: true,
    run: async (args, session, host) => {
      const word = args[2]!.toString('latin1').toLowerCase()
      const what = showable.find((name) => name === word)
      if (what === undefined) return failure(errorText('SHOW_WHAT', showable.join(', ')))
      return longReply(await host.operator.show(what), session.resp)
    },
  },
  'proxy|kill': {
    isStateful: true,
    run: (args, session, host) => {
      const text = args[2]!.toString('latin1')
      if (!/^[1-9]\d{0,14}$/.test(text)) return failure(errorText('CLIENT_ID_INVALID'))
      if (Number(text) === session.id) {
        session.isEnding = true // who kills itself is told so first
        return ok
      }
      const reply = (isKilled: boolean): Reply => (isKilled ? ok : failure(errorText('CLIENT_NONE')))
      const killed = host.operator.kill(Number(text))
      return killed instanceof Promise ? killed.then(reply) : reply(killed)
    },
  },
  'proxy|pause': {
    isStateful: true,
    run: (args, _session, host) => {
      if (args.length > 4) return failure(errorText('WRONG_ARITY', 'proxy|pause'))
      const ms = pauseTime(args[3]?.toString('latin1'))
      if (ms === undefined) return failure(errorText('PAUSE_TIME', pauseMsMax))
      const start = host.operator.pause(args[2]!.toString('utf8'), ms)
      return start === undefined ? failure(errorText('PAUSE_TENANT')) : start.then(pauseReply)
    },
  },
  'proxy|resume': {
    isStateful: true,
    run: (args, _session, host) => {
      const waited = host.operator.resume(args[2]!.toString('utf8'))
      return waited instanceof Promise ? waited.then(resumeReply) : resumeReply(waited)
    },
  },
  'proxy|reload': {
    isStateful: true,
    run: async (_args, _session, host) => {
      const { ok: isTaken, lines } = await host.operator.reload()
      if (isTaken) return array(lines.slice(0, linesShownMax).map((line) => bulk(line)))
      const more = lines.length > 1 ? ` (and ${lines.length - 1} more, see the log)` : ''
      return failure(errorText('RELOAD_REFUSED', `${lines[0] ?? ''}${more}`))
    },
  },
  'proxy|drain': {
    isStateful: true,
    run: (_args, _session, host) => {
      host.operator.drain()
      return ok
    },
  },
}

/** A pause's time as it is written, ms; undefined: none that may be. */
export function pauseTime(text: string | undefined): number | undefined {
  if (text === undefined) return pauseMsDefault
  const ms = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0
  return ms >= 1 && ms <= pauseMsMax ? ms : undefined
}

function resumeReply(waited: Resumed): Reply {
  if (waited === undefined) return failure(errorText('PAUSE_TENANT'))
  return waited === 'not paused' ? failure(errorText('NOT_PAUSED')) : integer(waited)
}

/** Of its keys nothing is under way; or it is not paused. */
function pauseReply(start: PauseStart | undefined): Reply {
  switch (start?.kind) {
    case undefined:
      return failure(errorText('PAUSE_TENANT'))
    case 'restless':
      return failure(errorText('PAUSE_RESTLESS', start.inFlight, Math.round(start.waitedMs)))
    case 'overtaken':
      return failure(errorText('PAUSE_OVERTAKEN'))
    case 'silent':
      return failure(errorText('PAUSE_SILENT'))
    case 'rest':
      return dataReply(pauseFacts(start))
  }
}

export function pauseFacts({ answered, blocked, waitedMs }: PauseStart & { kind: 'rest' }): object {
  return { answered, blocked, waited_ms: Math.round(waitedMs) }
}

/** Data as JSON has it as a reply. Numbers that are no integers are told as text on RESP2, as Redis does. */
export function dataReply(value: unknown): Reply {
  if (value === null || value === undefined) return nil
  if (Array.isArray(value)) return array(value.map(dataReply))
  switch (typeof value) {
    case 'object':
      return map(
        Object.entries(value)
          .filter(([, inner]) => inner !== undefined)
          .map(([key, inner]) => [bulk(key), dataReply(inner)] as const),
      )
    case 'number':
      return Number.isSafeInteger(value) ? integer(value) : { kind: 'double', value }
    case 'boolean':
      return bulk(value ? 'yes' : 'no')
    default:
      return bulk(String(value))
  }
}

/** The same of what may be long, encoded in slices. Nothing else of this client is taken meanwhile, so its RESP version stays. */
async function longReply(value: unknown, version: 2 | 3): Promise<Reply> {
  const slices = new Slices()
  const parts: Buffer[] = []
  const put = async (it: unknown, depth: number): Promise<void> => {
    if (it instanceof Rows || (Array.isArray(it) && depth <= 2)) {
      // How many there are stands in front of them.
      const head = parts.push(Buffer.alloc(0)) - 1
      let count = 0
      for (const item of it instanceof Rows ? it.rows : it) {
        await put(item, depth + 1)
        count++
      }
      parts[head] = Buffer.from(`*${count}\r\n`)
    } else if (it instanceof Entries || (typeof it === 'object' && it !== null && depth <= 2)) {
      const head = parts.push(Buffer.alloc(0)) - 1
      let count = 0
      for (const [key, inner] of it instanceof Entries ? it.entries : Object.entries(it)) {
        if (inner === undefined) continue
        parts.push(encodeReply(bulk(key), version))
        await put(inner, depth + 1)
        count++
      }
      parts[head] = Buffer.from(version === 3 ? `%${count}\r\n` : `*${2 * count}\r\n`)
    } else parts.push(encodeReply(dataReply(it), version))
    if (slices.isOver) await slices.rest()
  }
  await put(value, 0)
  return { kind: 'encoded', parts: [Buffer.concat(parts)] }
}
