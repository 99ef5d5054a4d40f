import { RunningScripts } from '../../../src/scripts/running.ts'

const lane = (lastReceivedAtMs = 0) => ({ lastReceivedAtMs })

test('a script is over its time when nothing was heard for that long', () => {
  const running = new RunningScripts()
  running.start(0, 'a', lane(), 1_000)
  expect(running.overdue(5_999, 5_000)).toEqual([])
  expect(running.overdue(6_001, 5_000)).toEqual([{ nodeIndex: 0, tenant: 'a' }])
})

test('waiting behind others is not held against a script', () => {
  const running = new RunningScripts()
  const first = running.start(0, 'a', lane(), 1_000)
  running.start(0, 'b', lane(), 1_100)
  running.noteAnswered(0, 5_000)
  running.end(first)
  expect(running.overdue(9_000, 5_000)).toEqual([])
  expect(running.overdue(10_001, 5_000)).toEqual([{ nodeIndex: 0, tenant: 'b' }])
})

test('what its own lease hears is progress', () => {
  const running = new RunningScripts()
  const heard = lane()
  running.start(0, 'a', heard, 1_000)
  heard.lastReceivedAtMs = 4_000
  expect(running.overdue(8_999, 5_000)).toEqual([])
  expect(running.overdue(9_001, 5_000)).toHaveLength(1)
})

test('the script of a node is taken to be the one that has waited longest; nodes are apart', () => {
  const running = new RunningScripts()
  running.start(0, 'b', lane(), 2_000)
  running.start(0, 'a', lane(), 1_000)
  running.start(1, 'c', lane(), 500)
  expect([running.current(0)?.tenant, running.current(1)?.tenant, running.current(2)]).toEqual(['a', 'c', undefined])
})

test('a script whose lease is lost is kept until the node says that it is over', () => {
  const running = new RunningScripts()
  const run = running.start(0, 'a', lane(900), 1_000)
  running.lost(run)
  expect(running.overdue(6_001, 5_000)).toHaveLength(1)
  running.settle(0)
  expect(running.overdue(60_000, 5_000)).toEqual([])
})

test('lost leases do not pile up', () => {
  const running = new RunningScripts()
  for (let i = 0; i < 1_000; i++) running.lost(running.start(0, 'a', lane(), i))
  let left = 0
  for (let run = running.current(0); run !== undefined; run = running.current(0)) {
    running.end(run)
    left++
  }
  expect(left).toBeLessThanOrEqual(64)
})
