/** May this command go on: its price, and whether a tenant's buckets have it. Limits never bind, so nobody waits. */
import { buildCommandTable } from '../src/commands/lookup.ts'
import { Costs } from '../src/quota/cost.ts'
import { TenantQuota } from '../src/quota/tenant-quota.ts'
import { framed, RequestFramer } from '../src/resp/request-framer.ts'
import type { MicroCase } from './micro.ts'
import { encodeCommand } from './raw-client.ts'

export function admissionCases(): MicroCase[] {
  const table = buildCommandTable()
  const costs = new Costs(table)
  const price = (name: string, args: readonly string[]): MicroCase => {
    const bytes = encodeCommand(args)
    const frame = new RequestFramer()
    if (frame.frame(bytes, 0, bytes.length) !== framed) throw new Error(`${name} is no whole request`)
    const id = table.lookup(bytes, frame.off[0]!, frame.len[0]!)
    return { name: `price of a command: ${name}`, perRun: 1, run: () => costs.unitsOf(id, frame, bytes.length) }
  }
  const traffic = { bytesOut: 0 }
  const limits = { opsPerS: 900_000_000, bytesPerS: 3 * 2 ** 30, scope: 'proxy', whenExceeded: 'delay' } as const
  const quota = new TenantQuota(limits, traffic, 0)
  let nowUs = 0
  return [
    price('GET key', ['GET', 'key:000000000042']),
    price('MGET 10 keys', ['MGET', ...Array.from({ length: 10 }, (_, i) => `key:${i}`)]),
    price('SET 8 KiB', ['SET', 'key:000000000042', 'x'.repeat(8192)]),
    {
      // A chunk of 16: one look at the clock, and what was answered since.
      name: 'quota of ops and bandwidth',
      perRun: 16,
      run: () => {
        nowUs += 20
        traffic.bytesOut += 16 * 136
        let waits = 0
        for (let i = 0; i < 16; i++) {
          quota.look(nowUs)
          waits += quota.waitUs(1, 36, nowUs)
          quota.take(1, 36, false)
        }
        return waits
      },
    },
  ]
}
