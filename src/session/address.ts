/** How the ends of a client's connection are written. Pure. */

/** As Redis writes them: host:port, an IPv6 host in brackets. */
export function formatAddress(host: string | undefined, port: number | undefined): string {
  if (host === undefined) return 'unknown'
  const plain = host.startsWith('::ffff:') ? host.slice(7) : host
  return plain.includes(':') ? `[${plain}]:${port ?? 0}` : `${plain}:${port ?? 0}`
}
