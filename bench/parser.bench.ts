/** Framing of requests and replies; redis-parser beside the reply framer, which decodes what we only measure. */
import Parser from 'redis-parser'
import { ReplyFramer } from '../src/resp/reply-framer.ts'
import { framed, RequestFramer } from '../src/resp/request-framer.ts'
import type { MicroCase } from './micro.ts'
import { bulk, encodeCommand } from './raw-client.ts'

const perRun = 64

export function parserCases(): MicroCase[] {
  const requests = (name: string, command: Buffer): MicroCase => {
    const bytes = Buffer.concat(Array.from({ length: perRun }, () => command))
    const framer = new RequestFramer()
    return {
      name: `frame requests: ${name}`,
      perRun,
      run: () => {
        let pos = 0
        let count = 0
        while (pos < bytes.length && framer.frame(bytes, pos, bytes.length) === framed) {
          pos = framer.end
          count += framer.count
        }
        if (pos !== bytes.length) throw new Error('the framer stopped early')
        return count
      },
    }
  }
  const replies = (name: string, reply: Buffer): MicroCase[] => {
    const bytes = Buffer.concat(Array.from({ length: perRun }, () => reply))
    const framer = new ReplyFramer()
    let decoded = 0
    const parser = new Parser({
      returnReply: () => decoded++,
      returnError: () => decoded++,
      returnFatalError: () => {},
    })
    return [
      {
        name: `frame replies: ${name}`,
        perRun,
        run: () => {
          let pos = 0
          let count = 0
          while (pos < bytes.length) {
            const end = framer.next(bytes, pos, bytes.length)
            if (end < 0) throw new Error('the framer stopped early')
            framer.reset()
            pos = end
            count++
          }
          return count
        },
      },
      {
        name: `redis-parser, for comparison: ${name}`,
        perRun,
        run: () => {
          parser.execute(bytes)
          return decoded
        },
      },
    ]
  }
  const value = Buffer.alloc(128, 'x')
  const mget = Buffer.concat([Buffer.from('*10\r\n'), ...Array.from({ length: 10 }, () => bulk(value))])
  return [
    requests('GET key', encodeCommand(['GET', 'key:000000000042'])),
    requests('SET key 128 B', encodeCommand(['SET', 'key:000000000042', value])),
    requests('MGET 10 keys', encodeCommand(['MGET', ...Array.from({ length: 10 }, (_, i) => `key:${i}`)])),
    ...replies('+OK', Buffer.from('+OK\r\n')),
    ...replies('128 B', bulk(value)),
    ...replies('10 x 128 B', mget),
  ]
}
