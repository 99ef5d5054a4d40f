/**
 * Logs. ~ writes to stdout (or where it is told to), synchronously: a verb that lives for 20 ms still gets its line out,
 * and nothing is lost at a crash. That is affordable because no line is written per command; lines that a peer can
 * provoke go through `oncePer`.
 *
 * What must never be in a line: keys, values, secrets. The first two are the writer's duty; secrets are taken out here
 * as well, by the name of the field at any depth and by the shape of a URL with a password in it.
 *
 * Rooms take the interface `Log`, so tests hand in a fake (`silentLog`).
 */
import { pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { type Clock, systemClock } from './clock.ts'

export const logLevels = ['debug', 'info', 'warn', 'error', 'fatal'] as const
export type LogLevel = (typeof logLevels)[number]
export type LogFields = Readonly<Record<string, unknown>>

/** One line: `log.info('listening')`, `log.warn({ node }, 'node lost')`. The message is a constant; what varies goes into the fields. */
export interface LogLine {
  (message: string): void
  (fields: LogFields, message: string): void
}

export interface Log {
  readonly debug: LogLine
  readonly info: LogLine
  readonly warn: LogLine
  readonly error: LogLine
  readonly fatal: LogLine
  /** A log whose lines all carry these fields. */
  child(fields: LogFields): Log
}

/** The process's own log. A changed level (reload) reaches every child at once. */
export interface RootLog extends Log {
  setLevel(level: LogLevel | 'silent'): void
}

export interface LogDestination {
  write(line: string): void
}

export interface LogOptions {
  readonly level?: LogLevel | 'silent'
  /** `auto`: pretty on a terminal, else JSON. */
  readonly format?: 'auto' | 'json' | 'pretty'
  /** A file descriptor (default 1, stdout) or anything with `write`. */
  readonly destination?: number | LogDestination
  /** Fields of every line, such as the region. */
  readonly fields?: LogFields
  readonly color?: boolean
}

const censored = '***'
const secretNames = new Set(['pass', 'passwd', 'auth', 'authorization', 'credential', 'credentials', 'requirepass'])
const secretEndings = ['password', 'passwordhash', 'secret', 'token', 'privatekey']
const redactDepthMax = 6

function isSecretName(name: string): boolean {
  const plain = name.toLowerCase().replace(/[_-]/g, '')
  return secretNames.has(plain) || secretEndings.some((ending) => plain.endsWith(ending))
}

/** A copy with secret fields censored, at any depth up to 6; what lies deeper is left out. Errors pass: pino serialises them. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Error || value instanceof Date) return value
  if (ArrayBuffer.isView(value)) return '[bytes]'
  if (depth >= redactDepthMax) return '[deep]'
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  const copy: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) {
    copy[name] = isSecretName(name) && field !== undefined && field !== null ? censored : redact(field, depth + 1)
  }
  return copy
}

/** `redis://user:secret@host` -> `redis://user:***@host`, wherever it stands in the line: messages of errors carry URLs. */
export function redactUrls(line: string): string {
  return line.includes('@') ? line.replace(/\/\/([^:@/\s"]*):[^@\s"]*@/g, `//$1:${censored}@`) : line
}

function sinkOf(options: LogOptions): LogDestination {
  const destination = options.destination ?? 1
  const format = options.format ?? 'auto'
  const isTerminal = destination === 1 ? process.stdout.isTTY === true : destination === 2 && process.stderr.isTTY
  // pino's own destination: it retries EAGAIN on a full pipe and survives a reader that has gone away.
  const out = typeof destination === 'number' ? pino.destination({ dest: destination, sync: true }) : destination
  if (format === 'json' || (format === 'auto' && !isTerminal)) {
    return { write: (line) => void out.write(redactUrls(line)) }
  }
  const pretty = prettyFactory({
    colorize: options.color ?? (isTerminal && process.env['NO_COLOR'] === undefined),
    ignore: 'pid',
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
  })
  // The factory, not the stream: the stream is a Transform, and lines in it die with process.exit().
  return { write: (line) => void out.write(pretty(redactUrls(line)) ?? '') }
}

const silentRank = logLevels.length
const rankOf = (level: LogLevel | 'silent'): number => (level === 'silent' ? silentRank : logLevels.indexOf(level))

export function createLog(options: LogOptions = {}): RootLog {
  const root = pino(
    {
      level: 'debug',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sinkOf(options),
  )
  const state = { rank: rankOf(options.level ?? 'info') }

  const wrap = (target: pino.Logger): Log => {
    const line = (level: LogLevel): LogLine => {
      const rank = rankOf(level)
      return (first: string | LogFields, message?: string) => {
        if (rank < state.rank) return
        if (typeof first === 'string') target[level](first)
        else target[level](redact(first) as object, message ?? '')
      }
    }
    return {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      fatal: line('fatal'),
      child: (fields) => wrap(target.child(redact(fields) as pino.Bindings)),
    }
  }

  const top = wrap(options.fields === undefined ? root : root.child(redact(options.fields) as pino.Bindings))
  return {
    ...top,
    setLevel: (level) => {
      state.rank = rankOf(level)
    },
  }
}

const oncePerTextsMax = 256

/**
 * A log that writes each text at most once in `ms`; for what a peer can provoke as often as it likes. The next line of
 * that text says in `suppressed` how many were left out. Texts are constants; past 256 of them the table starts anew.
 */
export function oncePer(log: Log, ms: number, clock: Clock = systemClock): Log {
  const seen = new Map<string, { untilMs: number; suppressed: number }>()

  const wrap = (target: Log): Log => {
    const line = (level: LogLevel): LogLine => {
      return (first: string | LogFields, message?: string) => {
        const text = typeof first === 'string' ? first : (message ?? '')
        const key = `${level} ${text}`
        const nowMs = clock.now()
        const entry = seen.get(key)
        if (entry !== undefined && nowMs < entry.untilMs) {
          entry.suppressed++
          return
        }
        const suppressed = entry?.suppressed ?? 0
        if (entry === undefined && seen.size >= oncePerTextsMax) seen.clear()
        seen.set(key, { untilMs: nowMs + ms, suppressed: 0 })
        const fields = typeof first === 'string' ? {} : first
        target[level](suppressed === 0 ? fields : { ...fields, suppressed }, text)
      }
    }
    return {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      fatal: line('fatal'),
      child: (fields) => wrap(target.child(fields)),
    }
  }
  return wrap(log)
}

const nothing: LogLine = () => {}

/** Says nothing: for tests, and for verbs whose output is their result. */
export const silentLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  child: () => silentLog,
}
