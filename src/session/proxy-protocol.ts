/**
 * The PROXY protocol header that a load balancer puts in front of a connection, versions 1 and 2 (haproxy's
 * doc/proxy-protocol.txt, sections 2.1 and 2.2). Pure: bytes in, verdict out. Strict, because whoever can send a header
 * can name any address; a listener either always expects one or never does.
 */
export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid' }
  /** `address` is absent for LOCAL and UNKNOWN: the balancer's own connection, such as a health check. */
  | { readonly kind: 'ok'; readonly length: number; readonly address?: string }

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** Section 2.1: the longest line, "PROXY UNKNOWN" with two IPv6 addresses, CRLF included. */
const lineBytesMax = 107
/** More than addresses and the common TLVs need; a header that claims more is refused. */
const bodyBytesMax = 4096

export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return { kind: 'incomplete' }
  if (bytes[0] === 0x0d) return readBinary(bytes)
  if (bytes[0] === 0x50) return readLine(bytes)
  return { kind: 'invalid' }
}

function readLine(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, lineBytesMax).indexOf('\r\n')
  const word = 'PROXY '
  const seen = bytes.toString('latin1', 0, Math.min(bytes.length, word.length))
  if (!word.startsWith(seen)) return { kind: 'invalid' }
  if (end < 0) return bytes.length >= lineBytesMax ? { kind: 'invalid' } : { kind: 'incomplete' }
  const parts = bytes.toString('latin1', 0, end).split(' ')
  if (parts[1] === 'UNKNOWN') return { kind: 'ok', length: end + 2 }
  const [, family, source, target, sourcePort, targetPort] = parts
  if (parts.length !== 6 || (family !== 'TCP4' && family !== 'TCP6')) return { kind: 'invalid' }
  const isAddress = family === 'TCP4' ? isIpv4 : isIpv6
  if (!isAddress(source!) || !isAddress(target!) || !isPort(sourcePort!) || !isPort(targetPort!))
    return { kind: 'invalid' }
  return { kind: 'ok', length: end + 2, address: join(source!, Number(sourcePort)) }
}

function readBinary(bytes: Buffer): ProxyHeader {
  const common = Math.min(bytes.length, signature.length)
  if (!bytes.subarray(0, common).equals(signature.subarray(0, common))) return { kind: 'invalid' }
  if (bytes.length < 16) return { kind: 'incomplete' }
  const version = bytes[12]! >> 4
  const command = bytes[12]! & 15
  const family = bytes[13]!
  const size = bytes.readUInt16BE(14)
  if (version !== 2 || command > 1 || size > bodyBytesMax) return { kind: 'invalid' }
  const length = 16 + size
  if (bytes.length < length) return { kind: 'incomplete' }
  if (command === 0) return { kind: 'ok', length }
  if (family === 0x11) {
    if (size < 12) return { kind: 'invalid' }
    return { kind: 'ok', length, address: join([...bytes.subarray(16, 20)].join('.'), bytes.readUInt16BE(24)) }
  }
  if (family === 0x21) {
    if (size < 36) return { kind: 'invalid' }
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + 2 * i).toString(16))
    return { kind: 'ok', length, address: join(groups.join(':'), bytes.readUInt16BE(48)) }
  }
  return family === 0 ? { kind: 'ok', length } : { kind: 'invalid' }
}

function join(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)
}

function isIpv6(text: string): boolean {
  return text.includes(':') && text.length <= 39 && /^[0-9a-fA-F:.]+$/.test(text)
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}
