/**
 * Who may ask the admin server for what. Pure: the headers and the peer's address in, a refusal or nothing out.
 *
 * Three callers to keep apart: an operator with the token; a program on this machine, trusted while no token is set; and
 * a web page in the browser of somebody on this machine, never trusted. The last one can send requests to loopback in
 * two ways: across sites (seen in Sec-Fetch-Site and Origin), and after its own name was pointed to 127.0.0.1 (DNS
 * rebinding, seen in Host, which then holds that name).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'

export interface AdminRequest {
  readonly method: string
  /** Lower-case names, as node:http has them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly remoteAddress: string
}

export interface AccessOptions {
  readonly token: string | undefined
  /** Where the server listens: a name that is configured there is a name that clients may use. */
  readonly host: string
}

export interface Refusal {
  readonly status: 401 | 403
  readonly message: string
}

export function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
  return plain === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(plain)
}

/** `host`, `host:port`, `[v6]:port` -> the host in lower case; undefined when it is none of these. */
export function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/@]+))(?::\d{1,5})?$/.exec(header)
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}

/** Compares hashes, which are of one length, so that time says nothing about the token's length either. */
export function hasToken(request: AdminRequest, token: string): boolean {
  const header = request.headers['authorization']
  const match = typeof header === 'string' ? /^Bearer +(\S+) *$/i.exec(header) : null
  const digest = (text: string) => createHash('sha256').update(text).digest()
  // Compared also when nothing was sent.
  return timingSafeEqual(digest(match?.[1] ?? ''), digest(token)) && match !== null
}

const forbidden = (message: string): Refusal => ({ status: 403, message })

/** A name that no other site can have made ours: an address, localhost, or what is configured. */
function isOwnHost(host: string | undefined, options: AccessOptions): boolean {
  return host !== undefined && (isIP(host) !== 0 || host === 'localhost' || host === options.host.toLowerCase())
}

function crossSite(request: AdminRequest): Refusal | undefined {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return forbidden('cross-site request refused')
  const origin = request.headers['origin']
  if (origin === undefined) return undefined
  const host = request.headers['host']
  const isSame = typeof origin === 'string' && typeof host === 'string' && /^https?:\/\//.test(origin)
  if (isSame && origin.replace(/^https?:\/\//, '').toLowerCase() === host.toLowerCase()) return undefined
  return forbidden('request of another origin refused')
}

/** undefined: allowed. `/livez` and `/readyz` are not asked about: load balancers have no token. */
export function refusalOf(request: AdminRequest, options: AccessOptions): Refusal | undefined {
  const changes = request.method !== 'GET' && request.method !== 'HEAD'
  const foreign = changes ? crossSite(request) : undefined
  if (foreign !== undefined) return foreign
  if (options.token !== undefined) {
    return hasToken(request, options.token)
      ? undefined
      : { status: 401, message: 'a token is needed: Authorization: Bearer' }
  }
  const host = request.headers['host']
  if (!isOwnHost(typeof host === 'string' ? hostOf(host) : undefined, options)) {
    return forbidden('unknown Host: without a token only addresses, localhost and the configured name are served')
  }
  if (changes && !isLoopback(request.remoteAddress)) return forbidden('without a token only this machine may do that')
  return undefined
}
