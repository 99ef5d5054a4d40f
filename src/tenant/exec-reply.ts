/**
 * EXEC's reply, put together: each command's own reply made fit for the client, and the proxy's own answers in their places.
 * Pure; works on one complete reply.
 */
import { elements, readHead, skip, TYPE } from '../resp/reply-walk.ts'

export interface ExecPart {
  /** An answer of the proxy's own: it stands for no element of the reply. */
  readonly local?: () => Buffer
  /** undefined: the element stays as it is. A result of undefined: the isolation check failed. */
  readonly transform?: (reply: Buffer) => Buffer | undefined
}

/**
 * The client's reply: errors and null pass; undefined when a part's check fails or the number of elements is not that of
 * the commands that were sent. Throws MalformedReply when the bytes are no complete reply.
 */
export function composeExec(reply: Buffer, parts: readonly ExecPart[]): Buffer | undefined {
  const head = readHead(reply, 0, reply.length)
  if (head === undefined) return undefined
  if (head.type === TYPE.error || head.count === -1) return reply
  if (head.type !== TYPE.array) return undefined
  const starts = elements(reply, 0, reply.length)
  if (starts.length !== parts.reduce((count, part) => count + (part.local === undefined ? 1 : 0), 0)) return undefined
  const pieces: Buffer[] = [Buffer.from(`*${parts.length}\r\n`)]
  let next = 0
  for (const part of parts) {
    if (part.local !== undefined) {
      pieces.push(part.local())
      continue
    }
    const start = starts[next++]!
    const stop = starts[next] ?? skip(reply, start, reply.length)
    const element = reply.subarray(start, stop)
    const mine = part.transform === undefined ? element : part.transform(element)
    if (mine === undefined) return undefined
    pieces.push(mine)
  }
  return Buffer.concat(pieces)
}
