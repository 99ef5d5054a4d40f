/**
 * Replies of scripts, made to speak of what the client knows: its own sha, its own function and library names, the line.
 * Only errors and the two replies that are names are touched; what a script returns is the client's own business, and is
 * never searched for the prefix, since a value may look like one. Pure.
 */

const noScript = Buffer.from('-NOSCRIPT ')
const unsayable = /, on @(user_script|user_function):\?\./g

export const isNoScript = (reply: Buffer): boolean => reply.subarray(0, noScript.length).equals(noScript)
export const isError = (reply: Buffer): boolean => reply[0] === 0x2d

/** `from` -> `to` in an error; other replies as they are. `line`: what to say where the script could not know it. */
export function renameInError(reply: Buffer, from: string, to: string, line: number): Buffer {
  if (!isError(reply)) return reply
  const text = reply.toString('latin1')
  const mine = text.replaceAll(from, to).replace(unsayable, `, on @$1:${line}.`)
  return mine === text ? reply : Buffer.from(mine, 'latin1')
}

/**
 * The line to name when a tail call has lost it: the first that could be meant. Most scripts have one line, or one such
 * call; those of redis.call itself never come here (lua-source.ts).
 */
export function likelyLine(body: string): number {
  const lines = body.split('\n')
  // Two searches, not one pattern with both: that one takes the square of the line.
  const at = lines.findIndex((line) => line.lastIndexOf('(') > line.search(/\breturn\b/) && /\breturn\b/.test(line))
  return at < 0 ? 1 : at + 1
}
