/** The prefix put on while a request is copied into an arena, in one buffer (as on the hot path) and between two. */
import { RequestFramer } from '../src/resp/request-framer.ts'
import { type KeyArguments, Splicer } from '../src/tenant/rewrite.ts'
import type { MicroCase } from './micro.ts'
import { encodeCommand } from './raw-client.ts'

export function rewriteCases(): MicroCase[] {
  const prefix = Buffer.from('shop:')
  const one = (name: string, args: readonly (string | Buffer)[], keyArguments: readonly number[]): MicroCase[] => {
    const command = encodeCommand(args)
    const slab = Buffer.alloc(256 * 1024)
    command.copy(slab, 0)
    const other = Buffer.alloc(256 * 1024)
    const framer = new RequestFramer()
    framer.frame(slab, 0, command.length)
    const keys: KeyArguments = { count: keyArguments.length, arg: Int32Array.from(keyArguments) }
    const splicer = new Splicer()
    const run = (isSame: boolean) => () => {
      const arena = isSame ? slab : other
      splicer.from = 0
      const at = splicer.splice(slab, isSame, framer, keys, prefix, arena, 128 * 1024)
      return splicer.copy(slab, isSame, framer.end, arena, at)
    }
    return [
      { name: `rewrite in one slab: ${name}`, perRun: 1, run: run(true) },
      { name: `rewrite between two buffers: ${name}`, perRun: 1, run: run(false) },
    ]
  }
  const ten = Array.from({ length: 10 }, (_, i) => `key:00000000004${i}`)
  return [
    ...one('GET key', ['GET', 'key:000000000042'], [1]),
    ...one('SET key 128 B', ['SET', 'key:000000000042', Buffer.alloc(128, 'x')], [1]),
    ...one('SET key 4 KiB', ['SET', 'key:000000000042', Buffer.alloc(4096, 'x')], [1]),
    ...one('MGET 10 keys', ['MGET', ...ten], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
  ]
}
