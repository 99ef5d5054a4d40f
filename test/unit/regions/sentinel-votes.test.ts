import { epochForgottenMs, SentinelVotes, type SentinelWord, wordFreshMs } from '../../../src/regions/sentinel-votes.ts'

const place = (host: string, port: number): string => `${host}:${port}`
const word = (host: string, configEpoch: number, askedAtMs = 0, others: readonly string[] = []): SentinelWord => ({
  askedAtMs,
  host,
  port: 6379,
  configEpoch,
  others,
})

function three(...words: readonly (SentinelWord | undefined)[]) {
  const votes = new SentinelVotes(3)
  words.forEach((one, i) => {
    if (one !== undefined) votes.note(`s${i}`, one)
  })
  return votes
}

test('two of three that agree name a primary, one does not', () => {
  expect(three(word('a', 1), word('a', 1), undefined).standing(0, place).named).toBe('a:6379')
  expect(three(word('a', 1), undefined, undefined).standing(0, place).named).toBeUndefined()
})

test('the same Sentinel counts once, however often it is heard', () => {
  const votes = three(word('a', 1))
  votes.note('s0', word('a', 1))
  expect(votes.standing(0, place)).toMatchObject({ heard: 1, all: 3, needed: 2, named: undefined })
})

test('a newer configuration epoch ends the name at once, before a majority has learnt the new one', () => {
  const votes = three(word('a', 1), word('a', 1), word('a', 1))
  votes.note('s1', word('b', 2))
  expect(votes.standing(0, place)).toMatchObject({ named: undefined, places: ['b:6379'] })
  votes.note('s0', word('b', 2))
  expect(votes.standing(0, place).named).toBe('b:6379')
})

test('two that still speak of the old epoch cannot bring the old primary back when the one who knew is gone', () => {
  const votes = three(word('a', 1), word('a', 1), word('b', 2))
  votes.forget('s2')
  expect(votes.standing(0, place).named).toBeUndefined()
})

test('after an announced switch the words of before count no more', () => {
  const votes = three(word('a', 1), word('a', 1), word('a', 1))
  votes.endEpoch(0, 'b:6379')
  expect(votes.standing(0, place).named).toBeUndefined()
  for (const id of ['s0', 's1']) votes.note(id, word('b', 2))
  expect(votes.standing(0, place).named).toBe('b:6379')
})

test('a word is believed for two seconds', () => {
  const votes = three(word('a', 1, 100), word('a', 1, 100))
  expect(votes.standing(100 + wordFreshMs, place).named).toBe('a:6379')
  expect(votes.standing(101 + wordFreshMs, place)).toMatchObject({ named: undefined, heard: 0 })
})

test('as many must agree as the Sentinels know of themselves, when those are more than the file lists', () => {
  const votes = new SentinelVotes(1)
  votes.note('s0', word('a', 1, 0, ['s1', 's2', 's3', 's4']))
  expect(votes.standing(0, place)).toMatchObject({ named: undefined, all: 5, needed: 3 })
})

test('a master that is watched anew, with epochs from 0, is named after a while', () => {
  const votes = three(word('a', 7), word('a', 7))
  for (const id of ['s0', 's1']) votes.note(id, word('a', 0, 1_000))
  expect(votes.standing(1_000, place).named).toBeUndefined()
  const later = epochForgottenMs + 1
  for (const id of ['s0', 's1']) votes.note(id, word('a', 0, later))
  expect(votes.standing(later, place).named).toBe('a:6379')
})
