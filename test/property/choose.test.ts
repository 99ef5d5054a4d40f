import fc from 'fast-check'
import { FenceNeed } from '../../src/regions/fences.ts'
import { Node } from '../../src/regions/node.ts'
import { chooseRead, isNodeFresh, LEVEL, type ReadNeed } from '../../src/routing/choose.ts'

const now = 1_000

const facts = fc.record({
  isUp: fc.boolean(),
  isReadable: fc.boolean(),
  incarnation: fc.nat(2),
  shownSeq: fc.nat(5),
  ageMs: fc.nat(20),
  shownTrails: fc.array(fc.nat(6), { maxLength: 3 }),
})

/** A position on a lane: any later mark of that lane, or the mark `mark` of whatever lane. */
const positions = fc.array(
  fc.record({ slot: fc.nat(2), trail: fc.nat(6), mark: fc.oneof(fc.nat(6), fc.constant(Number.POSITIVE_INFINITY)) }),
  { maxLength: 3 },
)

const needs: fc.Arbitrary<ReadNeed> = fc
  .record({
    level: fc.constantFrom(...Object.values(LEVEL)),
    maxStalenessMs: fc.oneof(fc.nat(20), fc.constant(Number.POSITIVE_INFINITY)),
    floor: fc.nat(4),
    positions,
    after: fc.oneof(fc.constant(0), fc.nat(6)),
    readIndex: fc.oneof(fc.nat(6), fc.constant(Number.POSITIVE_INFINITY)),
    lastNode: fc.integer({ min: -1, max: 3 }),
    lastIncarnation: fc.nat(2),
    seen: fc.nat(6),
    seenSlot: fc.integer({ min: -1, max: 2 }),
    seenTrail: fc.nat(6),
  })
  .map(({ floor, positions, ...rest }) => {
    const fences = new FenceNeed()
    fences.raiseFloor(floor, 0)
    fences.hasWritten = floor > 0 || positions.length > 0
    for (const { slot, trail, mark } of positions) fences.add(slot, trail, mark, 0)
    return { ...rest, fences }
  })

const fleets = fc
  .record({
    all: fc.array(facts, { minLength: 1, maxLength: 4 }),
    primaryAt: fc.integer({ min: -1, max: 3 }),
    shuffle: fc.infiniteStream(fc.nat(100)),
  })
  .map(({ all, primaryAt, shuffle }) => {
    const nodes = all.map((fact, i) => {
      const node = new Node(i, { name: `${i}`, region: 'r', host: 'h', port: 1, tls: false }, true)
      node.isUp = fact.isUp
      node.isReadable = fact.isUp && fact.isReadable
      node.incarnation = fact.incarnation
      node.shownSeq = fact.shownSeq
      node.shownTrails = Float64Array.from(fact.shownTrails)
      node.shownSentAtMs = fact.shownSeq === 0 ? Number.NEGATIVE_INFINITY : now - fact.ageMs
      return node
    })
    const primary = nodes[primaryAt]
    if (primary !== undefined) primary.isUp = true
    const order = nodes
      .map((node) => ({ node, at: shuffle.next().value ?? 0 }))
      .sort((a, b) => a.at - b.at)
      .map(({ node }) => node)
    return { nodes, order, primary }
  })

/** The promises again, in other words than the code: what must be true of whoever answers. */
function keepsPromise(need: ReadNeed, node: Node, primary: Node | undefined): boolean {
  if (node === primary) return true
  const ageMs = node.shownSeq > 0 ? now - node.shownSentAtMs : Number.POSITIVE_INFINITY
  const isWithinBound = need.maxStalenessMs === Number.POSITIVE_INFINITY || ageMs <= need.maxStalenessMs
  const isWhereItWas = need.lastNode === node.index && need.lastIncarnation === node.incarnation
  // Shown is a mark sent after the answer, or one that the same lane carried after the command.
  const isCovered = (next: number, lane: number, before: number): boolean =>
    next <= node.shownSeq || [...node.shownTrails].some((shown, slot) => slot === lane && shown > before)
  const { fences } = need
  const isWritten = fences.floor > 0 || fences.count > 0
  const hasFences =
    !isWritten ||
    (node.shownSeq > 0 &&
      fences.floor <= node.shownSeq &&
      [...fences.slots.subarray(0, fences.count)].every((slot, i) =>
        isCovered(fences.marks[i]!, slot, fences.trails[i]!),
      ))
  const hasToken = need.after <= node.shownSeq
  const promises: Record<number, boolean> = {
    [LEVEL.eventual]: isWithinBound && hasToken,
    [LEVEL.bounded]: isWithinBound && hasToken && Number.isFinite(ageMs),
    [LEVEL.session]:
      isWithinBound && hasToken && hasFences && (isWhereItWas || isCovered(need.seen, need.seenSlot, need.seenTrail)),
    [LEVEL.strong]: isWithinBound && hasToken && need.readIndex <= node.shownSeq,
  }
  return node.isUp && node.isReadable && promises[need.level] === true
}

test('whoever is chosen keeps the promise; nobody nearer does; and while there is a primary somebody is chosen', () => {
  const met = { replica: 0, fallback: 0, nobody: 0 }
  fc.assert(
    fc.property(needs, fleets, (need, { nodes, order, primary }) => {
      const choice = { reason: 0, passedOver: -1 }
      const index = chooseRead(need, order, primary, now, choice)
      const place = index === -1 ? order.length : order.findIndex((node) => node.index === index)
      expect(order.slice(0, place).some((node) => keepsPromise(need, node, primary))).toBe(false)
      expect(choice.passedOver).toBe(place === 0 ? -1 : order[0]!.index)
      expect(choice.reason === 0).toBe(place === 0)
      if (index === -1) {
        met.nobody++
        expect(primary).toBeUndefined()
        return
      }
      const chosen = nodes[index]!
      if (chosen !== primary) met.replica++
      else if (place > 0) met.fallback++
      expect(keepsPromise(need, chosen, primary)).toBe(true)
      expect(isNodeFresh(need, chosen, primary, now)).toBe(true)
    }),
    { numRuns: 5_000 },
  )
  // The oracle was asked about every kind of answer.
  expect(Math.min(met.replica, met.fallback, met.nobody)).toBeGreaterThan(100)
})
