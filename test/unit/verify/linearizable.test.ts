/** The linearizability checker is checked: generated histories, good and surely broken, and every order tried by hand. */
import { checkRegister, type Operation } from '../../../src/verify/linearizable.ts'
import { randomFrom } from '../../kit/exchange.ts'

const seed = Number(process.env['SEED'] ?? 1)

/** A register that really took every operation at one moment between its call and its return. */
function goodHistory(random: () => number, size: number, clients: number): Operation[] {
  interface Planned {
    kind: 'read' | 'write'
    calledAt: number
    atMs: number
    returnedAt: number
    outcome: Operation['outcome']
    value: string | null
    isRun: boolean
  }
  const planned: Planned[] = []
  const freeAt = new Array<number>(clients).fill(0)
  for (let i = 0; i < size; i++) {
    const client = Math.floor(random() * clients)
    const calledAt = freeAt[client]! + random() * 3
    const returnedAt = calledAt + random() * 10
    freeAt[client] = returnedAt
    const kind = random() < 0.5 ? 'read' : 'write'
    const fate = random()
    const outcome = kind === 'read' || fate < 0.9 ? 'ok' : fate < 0.95 ? 'uncertain' : 'notExecuted'
    // What is uncertain runs much later, or never.
    const atMs = outcome === 'uncertain' ? calledAt + random() * 50 : calledAt + random() * (returnedAt - calledAt)
    const isRun = outcome === 'ok' || (outcome === 'uncertain' && random() < 0.6)
    planned.push({ kind, calledAt, atMs, returnedAt, outcome, value: kind === 'write' ? `v${i}` : null, isRun })
  }
  let state: string | null = null
  for (const one of [...planned].sort((a, b) => a.atMs - b.atMs)) {
    if (one.kind === 'read') one.value = state
    else if (one.isRun) state = one.value
  }
  return planned.map(({ kind, value, calledAt, returnedAt, outcome }) => ({
    kind,
    value,
    calledAt,
    returnedAt,
    outcome,
  }))
}

/** One read changed so that no order explains it; undefined when this history offers none. */
function broken(history: readonly Operation[], random: () => number): Operation[] | undefined {
  const writes = history.filter(({ kind }) => kind === 'write')
  const acked = writes.filter(({ outcome }) => outcome === 'ok')
  const reads = history.filter(({ kind }) => kind === 'read')
  const ways: [Operation, string | null][] = []
  for (const read of reads) {
    for (const write of writes) {
      if (write.outcome === 'notExecuted' || write.calledAt > read.returnedAt) ways.push([read, write.value])
      if (write.outcome !== 'ok') continue
      const isOverwritten = acked.some((w) => w.calledAt > write.returnedAt && w.returnedAt < read.calledAt)
      if (isOverwritten) ways.push([read, write.value])
      if (write.returnedAt < read.calledAt) ways.push([read, null])
    }
  }
  const [read, value] = ways[Math.floor(random() * ways.length)] ?? []
  if (read === undefined || value === undefined || value === read.value) return undefined
  return history.map((operation) => (operation === read ? { ...operation, value } : operation))
}

/** The definition, tried out: every subset of what is uncertain, every order that keeps what came before what. */
function byDefinition(history: readonly Operation[]): boolean {
  const executed = history.filter(
    ({ kind, outcome }) => outcome === 'ok' || (kind === 'write' && outcome === 'uncertain'),
  )
  const end = ({ outcome, returnedAt }: Operation) => (outcome === 'ok' ? returnedAt : Number.POSITIVE_INFINITY)
  const search = (rest: readonly Operation[], state: string | null): boolean => {
    if (rest.every(({ outcome }) => outcome !== 'ok')) return true
    return rest.some((next) => {
      if (rest.some((other) => other !== next && end(other) < next.calledAt)) return false
      if (next.kind === 'read' && next.value !== state) return false
      return search(
        rest.filter((other) => other !== next),
        next.kind === 'write' ? next.value : state,
      )
    })
  }
  return search(executed, null)
}

test('ten thousand good histories are linearizable', () => {
  const random = randomFrom(seed)
  const wrong: number[] = []
  for (let i = 0; i < 10_000; i++) {
    const verdict = checkRegister(goodHistory(random, 4 + Math.floor(random() * 22), 1 + Math.floor(random() * 8)))
    if (verdict !== 'linearizable') wrong.push(i)
  }
  expect(wrong).toEqual([])
})

test('ten thousand broken histories are broken', () => {
  const random = randomFrom(seed + 1)
  const wrong: number[] = []
  let count = 0
  while (count < 10_000) {
    const history = broken(goodHistory(random, 4 + Math.floor(random() * 22), 1 + Math.floor(random() * 8)), random)
    if (history === undefined) continue
    if (checkRegister(history) !== 'broken') wrong.push(count)
    count++
  }
  expect(wrong).toEqual([])
})

test('its verdict is that of the definition on small histories with any values', () => {
  const random = randomFrom(seed + 2)
  const verdicts = { linearizable: 0, broken: 0 }
  for (let i = 0; i < 3_000; i++) {
    const history = goodHistory(random, 2 + Math.floor(random() * 5), 3).map((operation) =>
      operation.kind === 'read' && random() < 0.4
        ? { ...operation, value: random() < 0.2 ? null : `v${Math.floor(random() * 6)}` }
        : operation,
    )
    const expected = byDefinition(history) ? 'linearizable' : 'broken'
    expect(checkRegister(history)).toBe(expected)
    verdicts[expected]++
  }
  expect(Math.min(verdicts.linearizable, verdicts.broken)).toBeGreaterThan(300)
})

test('two hundred operations of ten clients are within the budget', () => {
  const random = randomFrom(seed + 3)
  for (let i = 0; i < 50; i++) expect(checkRegister(goodHistory(random, 200, 10))).toBe('linearizable')
})

test('a search that is not over within its budget says so', () => {
  expect(checkRegister(goodHistory(randomFrom(seed), 30, 8), null, 3)).toBe('unknown')
})
