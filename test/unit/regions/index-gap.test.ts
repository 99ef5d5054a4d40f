import { IndexGap } from '../../../src/regions/index-gap.ts'

const rttMs = 180

/**
 * Clients read by marks: `pause` says how long each waits after its answer, `spreadMs` how long behind the one before it is
 * answered. What is told is of the last three quarters.
 */
function play(clients: number, seconds: number, pause: () => number, gap = new IndexGap(5), spreadMs = 0) {
  gap.setRoundTrip(rttMs)
  const comesAt = Array.from({ length: clients }, () => Math.random() * rttMs)
  let [lastSent, dueAt, marks] = [-1000, Number.POSITIVE_INFINITY, 0]
  const waits: number[] = []
  let waiting: { client: number; at: number }[] = []
  for (let now = 0; now < seconds * 1000; now++) {
    for (let client = 0; client < clients; client++) {
      if (comesAt[client]! > now) continue
      comesAt[client] = Number.POSITIVE_INFINITY
      gap.asked(now)
      waiting.push({ client, at: now })
      dueAt = Math.min(dueAt, Math.max(now + gap.gatherMs, lastSent + gap.gapMs))
    }
    if (now < dueAt) continue
    const heldMs = gap.holdMs(now)
    if (heldMs > 0) {
      dueAt = now + heldMs
      continue
    }
    gap.sent(now)
    lastSent = now
    dueAt = Number.POSITIVE_INFINITY
    for (const [i, { client, at }] of waiting.entries()) {
      comesAt[client] = now + rttMs + i * spreadMs + Math.random() * 1.5 + pause()
      if (now > seconds * 250) waits.push(now - at)
    }
    if (now > seconds * 250) marks++
    waiting = []
  }
  waits.sort((a, b) => a - b)
  return {
    perRoundTrip: (marks / (seconds * 750)) * rttMs,
    mean: waits.reduce((sum, ms) => sum + ms, 0) / waits.length,
    median: waits[Math.floor(waits.length / 2)]!,
    longest: waits.at(-1)!,
  }
}

test('readers that know nothing of each other wait a 28th of a round trip in the mean, and cause fourteen marks in one', () => {
  const found = play(200, 40, () => -Math.log(1 - Math.random()) * 200)
  expect(found.mean).toBeLessThan((rttMs / 28) * 1.25)
  expect(found.perRoundTrip).toBeLessThan(14.5)
  expect(found.longest).toBeLessThan(rttMs / 3 + 3)
})

test('clients that ask again when they are answered come in a few flocks in the end, and wait no longer', () => {
  const found = play(200, 40, () => 0)
  expect(found.perRoundTrip).toBeLessThan(6)
  expect(found.mean).toBeLessThan((rttMs / 28) * 1.4)
  expect(found.median).toBeLessThan(rttMs / 28)
})

test('so do those whose answers take their time to be given, one after the other', () => {
  const found = play(200, 40, () => 0, new IndexGap(5), 0.08)
  expect(found.perRoundTrip).toBeLessThan(6)
  expect(found.mean).toBeLessThan((rttMs / 28) * 1.6)
})

test('a mark is held back while readers come, and not for one who comes alone', () => {
  const gap = new IndexGap(5)
  gap.setRoundTrip(rttMs)
  expect(gap.holdMs(0)).toBe(0)
  gap.asked(0)
  expect(gap.holdMs(2)).toBe(0)
  for (let now = 2; now < 40; now++) {
    gap.asked(now)
    const left = Math.max(0, rttMs / 14 - now)
    expect(gap.holdMs(now)).toBe(Math.min(1, left))
  }
  gap.sent(40)
  expect(gap.holdMs(40)).toBe(0)
  gap.setRoundTrip(30)
  gap.asked(50)
  expect(gap.holdMs(50)).toBe(0)
})

test('when flocks scatter, the gap narrows within seconds', () => {
  const gap = new IndexGap(5)
  play(1, 40, () => 0, gap)
  expect(gap.gapMs).toBeGreaterThan(rttMs / 8)
  play(200, 4, () => Math.random() * 300, gap)
  const found = play(200, 10, () => Math.random() * 300, gap)
  expect(found.mean).toBeLessThan((rttMs / 28) * 1.25)
})

test('next to the primary the gap is the least there is and nobody waits for others', () => {
  const gap = new IndexGap(5)
  for (const rtt of [0.2, 2, Number.NaN, Number.POSITIVE_INFINITY]) {
    gap.setRoundTrip(rtt)
    expect(gap.gatherMs).toBe(0)
    expect(gap.gapMs).toBe(5)
  }
})
