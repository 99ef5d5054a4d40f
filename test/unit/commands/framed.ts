/** A request as the framer leaves it: arguments as offsets into one buffer, here with other bytes around them. */
import type { Argv } from '../../../src/commands/keys.ts'

export function framed(args: readonly (string | Buffer)[]): Argv {
  const off = new Int32Array(args.length + 3)
  const len = new Int32Array(args.length + 3)
  const parts: Buffer[] = [Buffer.from('*junk\r\n')]
  let at = parts[0]!.length
  for (const [i, arg] of args.entries()) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg, 'latin1') : arg
    const head = Buffer.from(`$${bytes.length}\r\n`)
    off[i] = at + head.length
    len[i] = bytes.length
    parts.push(head, bytes, Buffer.from('\r\n'))
    at += head.length + bytes.length + 2
  }
  return { buf: Buffer.concat(parts), count: args.length, off, len }
}
