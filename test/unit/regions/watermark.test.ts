import { encodeMark, Marks, parseMark } from '../../../src/regions/watermark.ts'
import { FakeTime } from './fakes.ts'

function start(isOpen = true) {
  const time = new FakeTime()
  const sent: { seq: number; at: number; nextSeq: number }[] = []
  const marks: Marks = new Marks({
    clock: time,
    timers: time,
    send: (seq) => {
      sent.push({ seq, at: time.now(), nextSeq: marks.nextSeq })
      return true
    },
  })
  if (isOpen) {
    marks.open()
    time.turn()
  }
  return { time, marks, sent }
}

test('a position taken before a mark is sent is that mark, and one taken while it is sent is the next', () => {
  const { time, marks, sent } = start()
  time.pass(50)
  const position = marks.nextSeq
  marks.wantWithin(0)
  time.turn()
  expect(sent.at(-1)!.seq).toBe(position)
  expect(sent.at(-1)!.nextSeq).toBe(position + 1)
})

test('the send time is the moment before the bytes are written', () => {
  const time = new FakeTime()
  const marks: Marks = new Marks({
    clock: time,
    timers: time,
    send: () => {
      time.jump(30)
      return true
    },
  })
  const before = time.now()
  marks.open()
  time.turn()
  expect(marks.sentAtMs(1)).toBe(before)
})

test('one mark covers all the replies of a turn: it is sent when the turn ends', () => {
  const { time, marks, sent } = start()
  time.pass(50)
  const count = sent.length
  marks.wantWithin(0)
  marks.wantWithin(0)
  marks.wantWithin(0)
  expect(sent.length).toBe(count)
  time.turn()
  expect(sent.length).toBe(count + 1)
})

test('marks are at least 5 ms apart, however many are wanted', () => {
  const { time, marks, sent } = start()
  for (let ms = 0; ms < 100; ms++) {
    marks.wantWithin(0)
    time.pass(1)
  }
  const gaps = sent.slice(1).map((mark, i) => mark.at - sent[i]!.at)
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5)
  expect(sent.length).toBeGreaterThanOrEqual(20)
})

test('a far primary gets about ten marks in a round trip', () => {
  const { time, marks, sent } = start()
  marks.setRoundTrip(180)
  const count = sent.length
  for (let ms = 0; ms < 180; ms++) {
    marks.wantWithin(0)
    time.pass(1)
  }
  expect(sent.length - count).toBe(10)
})

test('the first reader who waits for a mark waits for those who come with it, and the others a sixteenth of a round trip at most', () => {
  const { time, marks, sent } = start()
  marks.setRoundTrip(180)
  time.pass(50)
  const count = sent.length
  marks.wantNow()
  time.pass(1)
  marks.wantNow()
  expect(sent.length).toBe(count)
  time.pass(1)
  expect(sent.length).toBe(count + 1)
  for (let ms = 0; ms < 180; ms++) {
    marks.wantNow()
    time.pass(1)
  }
  expect(sent.length - count - 1).toBe(14)
})

test('a mark is held back while readers keep coming, for a fourteenth of a round trip, and never for who wants one by then', () => {
  const { time, marks, sent } = start()
  marks.setRoundTrip(180)
  /** Somebody comes every half millisecond, for so long. How long after the first of them the mark went out, ms. */
  const flock = (ms: number, before = (): void => {}): number => {
    time.pass(50)
    const [count, from] = [sent.length, time.now()]
    before()
    for (let i = 0; i < 2 * ms; i++) {
      marks.wantNow()
      time.pass(0.5)
    }
    time.pass(2)
    return sent[count]!.at - from
  }
  expect(flock(0.5)).toBe(2)
  expect(flock(6)).toBe(7)
  expect(flock(30)).toBe(13)
  expect(flock(30, () => marks.wantWithin(5))).toBe(5)
})

test('a mark that readers wait for behind a wide gap does not hold up who wants one sooner', () => {
  const { time, marks, sent } = start()
  marks.setRoundTrip(180)
  // A flock of one: the gap is as wide as it gets.
  for (let i = 0; i < 1_000; i++) {
    marks.wantNow()
    time.pass(180)
  }
  expect(marks.indexWaitMs(time.now() + 60)).toBe(180 / 14)
  marks.wantNow()
  time.pass(2)
  const count = sent.length
  time.pass(1)
  marks.wantNow()
  time.pass(20)
  expect(sent.length).toBe(count)
  marks.wantWithin(0)
  time.turn()
  expect(sent.length).toBe(count + 1)
})

test('a wish is met in time: the shortest of several decides', () => {
  const { time, marks, sent } = start()
  time.pass(20)
  const count = sent.length
  marks.wantWithin(80)
  marks.wantWithin(30)
  marks.wantWithin(60)
  time.pass(29)
  expect(sent.length).toBe(count)
  time.pass(1)
  expect(sent.length).toBe(count + 1)
})

test('a short wish after a long one that is nearly due keeps the earlier moment', () => {
  const { time, marks, sent } = start()
  time.pass(10)
  marks.wantWithin(40)
  time.pass(38)
  const count = sent.length
  marks.wantWithin(20)
  time.pass(2)
  expect(sent.length).toBe(count + 1)
})

test('the same wish for every command sets one timer for each mark', () => {
  const { time, marks, sent } = start()
  time.pass(20)
  const [armed, count] = [time.armed, sent.length]
  for (let ms = 0; ms < 250; ms++) {
    for (let i = 0; i < 10; i++) marks.wantWithin(50)
    time.pass(1)
  }
  expect(sent.length - count).toBe(5)
  expect(time.armed - armed).toBeLessThanOrEqual(2 * 6)
})

test('while clients are active a mark goes out every 100 ms; after 5 s without one, every 2 s; a command ends the rest', () => {
  const { time, marks, sent } = start()
  marks.noteActivity(time.now())
  time.pass(10)
  let count = sent.length
  time.pass(1_000)
  expect(sent.length - count).toBe(10)
  time.pass(5_000)
  count = sent.length
  time.pass(10_000)
  expect(sent.length - count).toBe(5)
  count = sent.length
  marks.noteActivity(time.now())
  time.turn()
  expect(sent.length - count).toBe(1)
})

test('nothing is sent while there is no road, and one mark as soon as there is', () => {
  const { time, marks, sent } = start(false)
  marks.wantWithin(0)
  marks.noteActivity(time.now())
  time.pass(10_000)
  expect(sent).toEqual([])
  expect(marks.nextSeq).toBe(1)
  marks.open()
  time.turn()
  expect(sent.map((mark) => mark.seq)).toEqual([1])
  marks.wantWithin(0)
  marks.close()
  time.pass(10_000)
  expect(sent.length).toBe(1)
})

test('numbers go on after the road was lost: a mark of the new one covers every old position', () => {
  const { time, marks, sent } = start()
  time.pass(500)
  const position = marks.nextSeq
  marks.close()
  marks.open()
  time.pass(10)
  expect(sent.at(-1)!.seq).toBeGreaterThanOrEqual(position)
})

test('the send time of a mark that was never sent, or too long ago, is unknown', () => {
  const { time, marks } = start()
  expect(marks.sentAtMs(1)).toBe(1_000)
  expect(marks.sentAtMs(2)).toBe(Number.NEGATIVE_INFINITY)
  expect(marks.sentAtMs(0)).toBe(Number.NEGATIVE_INFINITY)
  for (let i = 0; i < 16_390; i++) {
    marks.wantWithin(0)
    time.pass(5)
  }
  expect(marks.sentAtMs(1)).toBe(Number.NEGATIVE_INFINITY)
  expect(marks.sentAtMs(marks.nextSeq - 16_384)).toBeGreaterThan(0)
})

test('the text of a mark is read back as it was written, and nothing else is', () => {
  for (const mark of [
    { epoch: 3, lane: 12, slot: -1, seq: 9_007_199 },
    { epoch: 3, lane: 0, slot: 7, seq: 9_007_199 },
  ]) {
    expect(parseMark(encodeMark(mark))).toEqual(mark)
  }
  for (const text of [
    '',
    '1:2',
    '1:2:3:4',
    '-1:2:3',
    '1:2:x',
    '1:2:3 ',
    ' 1:2:3',
    '1:2:1e3',
    '1:d:3',
    'd1:2:3',
    '1:dd2:3',
    '1:d-1:3',
    '1:2:9999999999999999',
  ]) {
    expect(parseMark(text)).toBeUndefined()
  }
})
