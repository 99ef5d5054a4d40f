/**
 * Session tokens (PROXY TOKEN, PROXY AFTER): what a connection has written and read, to be handed to another one, through this
 * proxy or another. Opaque to clients:
 *
 *   1 version | 8 which proxy process | 6 mark | 8 which replication history | 16 authentication     bytes, as base64url
 *
 * The mark is the first that was not sent when the token was made, so whatever the connection had been answered is covered by
 * it. Only the process that made it knows its marks; any other takes its own next mark instead: what a token covers was
 * acknowledged before it was handed in. The authentication covers the tenant too. Its key is made of the servers' password,
 * which all proxies of a deployment share; without one it is drawn at start, and tokens are this process's own.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const version = 1
const tagBytes = 8
const markBytes = 6
const macBytes = 16
const bodyBytes = 1 + tagBytes + markBytes + tagBytes
const tokenShape = /^[A-Za-z0-9_-]{52}$/

export interface TokenFacts {
  /** The first mark not sent when it was made; undefined: another process's, whose marks mean nothing here. */
  readonly mark: number | undefined
  /** It is of the replication history that holds here now, as far as either side knows one. */
  readonly isOfHistory: boolean
}

export class Tokens {
  private readonly key: Buffer
  private readonly instance: Buffer

  /** `secret`: the servers' password, '' when they have none. `instance`: 128 random bits of this process. */
  constructor(secret: string, instance: string) {
    this.key = secret === '' ? randomBytes(32) : createHmac('sha256', secret).update('regis session tokens').digest()
    this.instance = this.tag('instance', instance)
  }

  /** `history`: the replication id of the primary; '' while none is known. */
  make(tenant: string, mark: number, history: string): string {
    const body = Buffer.alloc(bodyBytes)
    body[0] = version
    this.instance.copy(body, 1)
    body.writeUIntBE(mark, 1 + tagBytes, markBytes)
    this.historyTag(history).copy(body, 1 + tagBytes + markBytes)
    return Buffer.concat([body, this.mac(tenant, body)]).toString('base64url')
  }

  /** undefined: it was not made here, nor for this tenant, or is none. */
  read(tenant: string, text: string, history: string): TokenFacts | undefined {
    if (!tokenShape.test(text)) return undefined
    const bytes = Buffer.from(text, 'base64url')
    const body = bytes.subarray(0, bodyBytes)
    if (body[0] !== version || !timingSafeEqual(bytes.subarray(bodyBytes), this.mac(tenant, body))) return undefined
    const isOurs = this.instance.equals(body.subarray(1, 1 + tagBytes))
    const of = body.subarray(1 + tagBytes + markBytes)
    const isUnknown = of.every((byte) => byte === 0) || history === ''
    return {
      mark: isOurs ? body.readUIntBE(1 + tagBytes, markBytes) : undefined,
      isOfHistory: isUnknown || of.equals(this.historyTag(history)),
    }
  }

  private historyTag(history: string): Buffer {
    return history === '' ? Buffer.alloc(tagBytes) : this.tag('history', history)
  }

  /** Says nothing of what it stands for. */
  private tag(what: string, text: string): Buffer {
    return createHmac('sha256', this.key).update(`${what} ${text}`).digest().subarray(0, tagBytes)
  }

  private mac(tenant: string, body: Buffer): Buffer {
    return createHmac('sha256', this.key).update(`${tenant}\0`).update(body).digest().subarray(0, macBytes)
  }
}
