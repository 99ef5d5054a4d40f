/**
 * The small languages inside scalars: durations, sizes, rates, addresses, node URLs. Pure text -> value; what cannot be
 * read comes back as a Problem that says what was expected. A Problem never quotes the text: it may be a secret, and
 * whether it may be shown is known only where it stands in the file (see diagnostics.ts).
 */
export class Problem {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const sizeUnitsBytes: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}
const rateUnitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 }

export const durationPattern = '(\\d+(\\.\\d+)?(ms|s|m|h)|0)'
export const sizePattern = '(\\d+(\\.\\d+)?(B|[KMGT]i?B)|0)'
const durationExpression = new RegExp(`^${durationPattern}$`)
const sizeExpression = new RegExp(`^${sizePattern}$`)
export const ratePattern = '(\\d+/[smh]|0)'
export const byteRatePattern = `(\\d+(\\.\\d+)?(B|[KMGT]i?B)/[smh]|0)`

/** `250ms`, `2s`, `1m`, `1h`, `0`: milliseconds, at most a year so that every timer can hold it in parts. */
export function parseDuration(text: string): number | Problem {
  const found = durationExpression.exec(text)
  if (found === null) return new Problem(isBareNumber(text) ? 'a duration needs a unit: ms, s, m or h' : durationWords)
  const ms = text === '0' ? 0 : Number.parseFloat(text) * durationUnitsMs[found[3]!]!
  return ms <= 365 * 86_400_000 ? ms : new Problem('a duration of at most a year is expected')
}
const durationWords = 'expected a duration such as 250ms, 2s, 1m or 1h'

/** `512B`, `64KiB`, `50MiB`, `1GB`, `0`: bytes, whole. KiB is 1024, KB is 1000. */
export function parseSize(text: string): number | Problem {
  const found = sizeExpression.exec(text)
  if (found === null) {
    return new Problem(isBareNumber(text) ? 'a size needs a unit: B, KiB, MiB, GiB, KB, MB or GB' : sizeWords)
  }
  const bytes = text === '0' ? 0 : Math.round(Number.parseFloat(text) * sizeUnitsBytes[found[3]!]!)
  return Number.isSafeInteger(bytes) ? bytes : new Problem(sizeWords)
}
const sizeWords = 'expected a size such as 64KiB, 50MiB or 1GB'

export interface Rate {
  readonly count: number
  readonly perMs: number
}

/** `20000/s`, `10/m`, `5/h`; `0` is none at all, which each key explains for itself. */
export function parseRate(text: string): Rate | Problem {
  if (text === '0') return { count: 0, perMs: 1_000 }
  const found = /^(\d+)\/([smh])$/.exec(text)
  const count = Number(found?.[1])
  if (found === null || !Number.isSafeInteger(count)) return new Problem('expected a rate such as 20000/s or 10/m')
  return { count, perMs: rateUnitsMs[found[2]!]! }
}

/** `50MiB/s`: `count` is bytes. */
export function parseByteRate(text: string): Rate | Problem {
  if (text === '0') return { count: 0, perMs: 1_000 }
  const slash = text.lastIndexOf('/')
  const count = parseSize(text.slice(0, slash))
  const perMs = rateUnitsMs[text.slice(slash + 1)]
  if (slash < 0 || count instanceof Problem || perMs === undefined) {
    return new Problem('expected a rate of bytes such as 50MiB/s')
  }
  return { count, perMs }
}

export function parseInteger(text: string, min: number, max: number): number | Problem {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  return value >= min && value <= max ? value : new Problem(`expected a whole number from ${min} to ${max}`)
}

export function parseBoolean(text: string): boolean | Problem {
  return text === 'true' ? true : text === 'false' ? false : new Problem('expected true or false')
}

export interface Address {
  /** IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/** `HOST:PORT`, `[IPv6]:PORT`, or `:PORT` for every IPv4 interface. Port 0 is any free one. */
export function parseAddress(text: string): Address | Problem {
  const found = /^(\[[0-9a-fA-F:.]+\]|[^\s:@/[\]]*):(\d{1,5})$/.exec(text)
  if (found === null) return new Problem('expected HOST:PORT such as 127.0.0.1:6380')
  const port = Number(found[2])
  if (port > 65_535) return new Problem('expected a port from 0 to 65535')
  return { host: found[1] === '' ? '0.0.0.0' : unbracket(found[1]!), port }
}

export interface NodeUrl extends Address {
  readonly tls: boolean
  readonly username?: string
  readonly password?: string
}

/**
 * `redis://[user[:password]@]host[:port]`, `rediss://` for TLS. Not WHATWG's URL: a password that came out of a secret
 * file may hold `/`, `#` or `@`, so the credentials end at the last `@`. `%xx` in them is decoded where it can be.
 */
export function parseNodeUrl(text: string): NodeUrl | Problem {
  const found = /^(rediss?):\/\/(?:([\s\S]*)@)?(\[[0-9a-fA-F:.]+\]|[^\s:@/[\]?#]+)(?::(\d{1,5}))?(\/.*)?$/.exec(text)
  if (found === null) return new Problem(nodeUrlProblem(text))
  const [, scheme, credentials, host, port, path] = found
  if (path !== undefined && path !== '/' && path !== '/0') {
    return new Problem('a node URL ends with its port: logical databases other than 0 are not used')
  }
  if (Number(port ?? 6379) > 65_535 || Number(port ?? 6379) === 0) return new Problem('expected a port from 1 to 65535')
  const node = { host: unbracket(host!), port: Number(port ?? 6379), tls: scheme === 'rediss' }
  if (credentials === undefined) return node
  const colon = credentials.indexOf(':')
  const username = decode(colon < 0 ? credentials : credentials.slice(0, colon))
  if (colon < 0) return { ...node, username }
  // redis://:secret@host is the classic way to log in as the default user.
  return { ...node, username: username === '' ? 'default' : username, password: decode(credentials.slice(colon + 1)) }
}

function nodeUrlProblem(text: string): string {
  const expected = 'expected redis://host:port or rediss://host:port'
  if (/^[^/]+:\d+$/.test(text)) return `${expected}: the scheme is missing`
  return expected
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `all`, `none`, `top:50`. */
export function parseTenantLabel(text: string): 'all' | 'none' | { readonly top: number } | Problem {
  if (text === 'all' || text === 'none') return text
  const top = parseInteger(/^top:(\d+)$/.exec(text)?.[1] ?? '', 1, 100_000)
  return top instanceof Problem ? new Problem('expected all, none or top:N') : { top }
}

function unbracket(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}

function isBareNumber(text: string): boolean {
  return /^\d+(\.\d+)?$/.test(text)
}

/** The inverse, for print: the largest unit that leaves a whole number. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  for (const unit of ['h', 'm', 's'] as const)
    if (ms % durationUnitsMs[unit]! === 0) return `${ms / durationUnitsMs[unit]!}${unit}`
  return `${ms}ms`
}

export function formatSize(bytes: number): string {
  if (bytes === 0) return '0'
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    if (bytes % sizeUnitsBytes[unit]! === 0) return `${bytes / sizeUnitsBytes[unit]!}${unit}`
  }
  return `${bytes}B`
}

export function formatRate(rate: Rate): string {
  if (rate.count === 0) return '0'
  return `${rate.count}/${rate.perMs === 1_000 ? 's' : rate.perMs === 60_000 ? 'm' : 'h'}`
}

export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
