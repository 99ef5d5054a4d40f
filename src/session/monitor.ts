/**
 * MONITOR: connections that are shown the commands of their own tenant's connections, as those sent them. The tenant's
 * connections carry `modeShown` while somebody watches, so that nobody else's commands are looked at twice.
 *
 *   a command of the tenant -> line -> every monitor's buffer --once a turn--> its socket
 *
 * A monitor that does not read is closed, as Redis does with its own (client-output-buffer-limit).
 */
import { monitorCommandBytesMax, monitorOutputBytesMax, monitorsMax } from '../base/limits.ts'
import type { TenantState } from '../tenant/account.ts'
import { modeMonitor, modeShown, type Session } from './session.ts'

/** The arguments of a command as they lie in a buffer. */
export interface ShownCommand {
  readonly buf: Buffer
  readonly count: number
  readonly off: Int32Array
  readonly len: Int32Array
}

export interface MonitorOptions {
  /** Microseconds since 1970. */
  wallUs(): number
  /** Runs it when the stack is empty. */
  soon(run: () => void): void
  sessions(): Iterable<Session>
}

interface Watched {
  readonly monitors: Map<Session, string[]>
}

const redacted = '"(redacted)"'
/** sds.c, sdscatrepr: what is not printable ASCII is escaped. */
const escapes: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
}

export function quoted(bytes: Buffer, from: number, to: number): string {
  let plain = true
  for (let i = from; i < to && plain; i++) {
    const byte = bytes[i]!
    plain = byte >= 32 && byte < 127 && byte !== 34 && byte !== 92
  }
  if (plain) return `"${bytes.toString('latin1', from, to)}"`
  let text = '"'
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!
    text +=
      escapes[byte] ??
      (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`)
  }
  return `${text}"`
}

export class Monitors {
  private readonly options: MonitorOptions
  private readonly watched = new Map<TenantState, Watched>()
  private isFlushPlanned = false

  constructor(options: MonitorOptions) {
    this.options = options
  }

  /** False: the tenant has as many as it may have. */
  add(session: Session, tenant: TenantState): boolean {
    let entry = this.watched.get(tenant)
    if (entry === undefined) {
      entry = { monitors: new Map() }
      this.watched.set(tenant, entry)
    }
    if (entry.monitors.has(session)) return true
    if (entry.monitors.size >= monitorsMax) return false
    entry.monitors.set(session, [])
    session.mode |= modeMonitor
    for (const one of this.options.sessions()) if (one.account?.tenant === tenant) one.mode |= modeShown
    return true
  }

  /** It has logged in: somebody may be watching its tenant. */
  joined(session: Session): void {
    const tenant = session.account?.tenant
    if (tenant !== undefined && this.watched.has(tenant)) session.mode |= modeShown
    else session.mode &= ~modeShown
  }

  /** It is gone, or it watches no more: RESET, another login. */
  remove(session: Session): void {
    if ((session.mode & modeMonitor) === 0) return
    session.mode &= ~modeMonitor
    for (const [tenant, { monitors }] of this.watched) {
      if (!monitors.delete(session) || monitors.size > 0) continue
      this.watched.delete(tenant)
      for (const one of this.options.sessions()) if (one.account?.tenant === tenant) one.mode &= ~modeShown
    }
  }

  /** `session` ran this command. Arguments from `secretFrom` up to `secretTo` are not shown. */
  show(session: Session, command: ShownCommand, secretFrom: number, secretTo: number): void {
    const tenant = session.account?.tenant
    const entry = tenant === undefined ? undefined : this.watched.get(tenant)
    if (entry === undefined) return
    const us = this.options.wallUs()
    const seconds = Math.floor(us / 1e6)
    const micros = String(Math.floor(us % 1e6)).padStart(6, '0')
    let line = `+${seconds}.${micros} [${session.database} ${session.remote}]`
    let left = monitorCommandBytesMax
    for (let i = 0; i < command.count && left > 0; i++) {
      const from = command.off[i]!
      const size = Math.min(command.len[i]!, left)
      line += i >= secretFrom && i < secretTo ? ` ${redacted}` : ` ${quoted(command.buf, from, from + size)}`
      left -= size
      // Redis shows all of it; what is longer than any screen would cost everybody else.
      if (size < command.len[i]!) line += `... (${command.len[i]! - size} more bytes)`
      else if (left <= 0 && i + 1 < command.count) line += ` ... (${command.count - i - 1} more arguments)`
    }
    line += '\r\n'
    for (const lines of entry.monitors.values()) lines.push(line)
    this.plan()
  }

  private plan(): void {
    if (this.isFlushPlanned) return
    this.isFlushPlanned = true
    this.options.soon(this.flush)
  }

  /** One write a monitor and turn. A monitor has no command of its own at a node, so no line can cut a reply in two. */
  private readonly flush = (): void => {
    this.isFlushPlanned = false
    for (const { monitors } of this.watched.values()) {
      for (const [monitor, lines] of monitors) {
        if (lines.length === 0) continue
        const bytes = Buffer.from(lines.join(''), 'latin1')
        lines.length = 0
        if (monitor.isClosed) continue
        if (monitor.outputBytes > monitorOutputBytesMax) monitor.destroy('output limit')
        else monitor.writeOwn(bytes)
      }
    }
  }
}
