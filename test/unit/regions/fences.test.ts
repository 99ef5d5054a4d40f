/** Of the table of fences: cases that the model (test/property/fences.test.ts) meets too rarely. */
import { TenantCells } from '../../../src/metrics/cells.ts'
import { FenceNeed, Fences } from '../../../src/regions/fences.ts'
import { Node } from '../../../src/regions/node.ts'
import { TenantState } from '../../../src/tenant/account.ts'
import type { Lane } from '../../../src/upstream/lane.ts'

test('a write that is on its way is not forgotten while the only replica is away: a mark sent now could overtake it', () => {
  const nodes = [0, 1].map((i) => new Node(i, { name: `${i}`, region: 'r', host: 'h', port: 1, tls: false }, true))
  const [primary, replica] = [nodes[0]!, nodes[1]!]
  const lane = { index: 0, lastTrailSeq: 3, lastWrite: 0, answered: 0 }
  let nextSeq = 7
  const fences = new Fences({
    nodes,
    lanes: [lane] as unknown as Lane[],
    primary: () => primary,
    nextSeq: () => nextSeq,
    entries: 8,
  })
  const tenant = new TenantState('shop', 'shop:', new TenantCells())
  tenant.hasSessionReads = true
  const hash = (name: string) =>
    fences.hashKey(tenant, 0, tenant.prefixes[0]!, Buffer.from(name), 0, Buffer.byteLength(name))
  const needOf = (name: string): FenceNeed => {
    const need = new FenceNeed()
    fences.begin(need, tenant)
    fences.addWide(need, tenant)
    fences.addKey(need, tenant, hash(name))
    return need
  }
  const write = (name: string): void => {
    fences.noteWrite(tenant, lane as unknown as Lane, 0)
    fences.layKey(tenant, hash(name), lane as unknown as Lane, 0)
    lane.lastWrite++
  }
  const names = Array.from({ length: 12 }, (_, i) => `k${i}`)
  for (const name of names) write(name)
  // It is back, and has shown a mark of the control connection, which the writes' lane has not delivered yet.
  nextSeq = 8
  Object.assign(replica, { isReadable: true, shownSeq: 7, shownControlSeq: 7 })
  for (const name of names) expect([name, needOf(name).isMetBy(replica)]).toEqual([name, false])
  // They are answered, and a mark that was sent after that is shown.
  fences.settle()
  lane.answered = lane.lastWrite
  fences.settle()
  nextSeq = 9
  replica.shownSeq = 8
  for (const name of names) expect([name, needOf(name).isMetBy(replica)]).toEqual([name, true])
})
