/** Messages between the supervisor and its workers: what is asked is answered, and nobody waits for ever. */
import {
  kindOf,
  type Link,
  LinkError,
  type LinkTimers,
  type Message,
  SupervisorLinks,
  WorkerLink,
} from '../../../src/workers/link.ts'

const double = kindOf<number, number>('double')
const said = kindOf<string>('said')

/** Timers by hand. */
function handTimers(): LinkTimers & { pass(ms: number): void; readonly count: number } {
  let now = 0
  const waiting = new Map<number, { at: number; run: () => void }>()
  let id = 0
  return {
    after: (ms, run) => {
      const mine = id++
      waiting.set(mine, { at: now + ms, run })
      return () => void waiting.delete(mine)
    },
    pass(ms) {
      now += ms
      for (const [key, { at, run }] of [...waiting]) {
        if (at > now) continue
        waiting.delete(key)
        run()
      }
    },
    get count() {
      return waiting.size
    },
  }
}

/** A supervisor with `count` workers; messages are cloned on their way, as a channel does. */
function fleet(count: number) {
  const timers = handTimers()
  const supervisor = new SupervisorLinks(timers)
  const ends: Link[] = []
  const workers = Array.from({ length: count }, (_, index) => {
    const worker = new WorkerLink((message) => void ends[index]!.take(structuredClone(message)), timers)
    ends.push(supervisor.open(index, (message: Message) => void worker.take(structuredClone(message))))
    return worker
  })
  return { timers, supervisor, workers, ends }
}

test('what one asks the other answers, in both directions, and no timer is left', async () => {
  const { supervisor, workers, timers } = fleet(2)
  for (const [index, worker] of workers.entries()) worker.handle(double, (n) => n * 2 + index)
  supervisor.handle(kindOf<number, string>('who'), (n, worker) => `${worker} asked ${n}`)
  expect(await supervisor.ask(1, double, 4, 100)).toBe(9)
  expect(await workers[0]!.ask(kindOf<number, string>('who'), 7, 100)).toBe('0 asked 7')
  expect(timers.count).toBe(0)
})

test('all are asked at once, and one that fails is told beside those that do not', async () => {
  const { supervisor, workers } = fleet(3)
  for (const worker of workers) {
    worker.handle(double, async (n) => {
      if (worker === workers[1]) throw new Error('out of order')
      return n * 2
    })
  }
  expect(await supervisor.askAll(double, 3, 100)).toEqual([
    { worker: 0, value: 6 },
    { worker: 1, error: 'out of order' },
    { worker: 2, value: 6 },
  ])
})

test('a worker asks all others by way of the supervisor, and not itself', async () => {
  const { workers } = fleet(3)
  for (const [index, worker] of workers.entries()) worker.handle(double, (n) => n + index)
  expect(await workers[1]!.askSiblings(double, 10, 100)).toEqual([
    { worker: 0, value: 10 },
    { worker: 2, value: 12 },
  ])
})

test("who does not answer in time is not waited for, and what comes later is nobody's", async () => {
  const { supervisor, workers, timers } = fleet(1)
  let answer: (n: number) => void = () => {}
  workers[0]!.handle(double, () => new Promise<number>((resolve) => (answer = resolve)))
  const asked = supervisor.ask(0, double, 1, 100)
  await Promise.resolve()
  timers.pass(99)
  timers.pass(1)
  await expect(asked).rejects.toThrow('no answer within 100 ms')
  answer(5)
  await new Promise((resolve) => setImmediate(resolve))
  workers[0]!.handle(kindOf<number, number>('other'), (n) => n)
  expect(await supervisor.ask(0, kindOf<number, number>('other'), 8, 100)).toBe(8)
})

test('a channel that is gone fails all that waits, at once', async () => {
  const { supervisor, workers, ends, timers } = fleet(1)
  workers[0]!.handle(double, () => new Promise<number>(() => {}))
  const asked = supervisor.ask(0, double, 1, 100)
  supervisor.closed(0, ends[0]!, 'worker 0 has ended')
  await expect(asked).rejects.toThrow(LinkError)
  await expect(supervisor.ask(0, double, 1, 100)).rejects.toThrow('worker 0 does not run')
  await expect(ends[0]!.ask(double, 1, 100)).rejects.toThrow('worker 0 has ended')
  expect([supervisor.workers, timers.count]).toEqual([[], 0])
})

test('the successor of a worker is another link: the end of the old one does not touch it', async () => {
  const { supervisor, ends, timers } = fleet(1)
  const successor = new WorkerLink((message) => void next.take(message), timers)
  const next = supervisor.open(0, (message) => void successor.take(message))
  successor.handle(double, (n) => n * 2)
  supervisor.closed(0, ends[0]!, 'worker 0 has ended')
  expect(await supervisor.ask(0, double, 2, 100)).toBe(4)
})

test('what is told needs no answer; a kind that nobody handles is an error for who asks', async () => {
  const { supervisor, workers } = fleet(1)
  const heard: string[] = []
  workers[0]!.handle(said, (text) => void heard.push(text))
  supervisor.tellAll(said, 'a')
  supervisor.tell(0, said, 'b')
  expect(heard).toEqual(['a', 'b'])
  await expect(supervisor.ask(0, double, 1, 100)).rejects.toThrow('nobody answers "double"')
  expect(() => workers[0]!.handle(said, () => {})).toThrow('has a handler')
})

test('messages of others on the channel are not taken', () => {
  const { workers } = fleet(1)
  expect([workers[0]!.take({ cmd: 'NODE_HANDLE' }), workers[0]!.take('x'), workers[0]!.take(null)]).toEqual([
    false,
    false,
    false,
  ])
})
