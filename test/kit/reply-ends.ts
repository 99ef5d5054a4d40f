import { ReplyFramer, replyBroken, replyMore } from '../../src/resp/reply-framer.ts'

/** Where the replies of a stream end by our framer, when it comes cut at these offsets; the unconsumed rest is put in front of the next piece. */
export function replyEnds(stream: Buffer, cuts: readonly number[]): number[] | 'broken' {
  const framer = new ReplyFramer()
  const found: number[] = []
  let buf = Buffer.alloc(0)
  let base = 0
  let last = 0
  for (const point of [...cuts, stream.length].sort((a, b) => a - b)) {
    buf = Buffer.concat([buf, stream.subarray(last, point)])
    last = point
    let pos = 0
    while (pos < buf.length) {
      const next = framer.next(buf, pos, buf.length)
      if (next === replyBroken) return 'broken'
      if (next === replyMore) {
        pos = framer.consumed
        break
      }
      pos = next
      found.push(base + pos)
    }
    base += pos
    buf = buf.subarray(pos)
  }
  return found
}
