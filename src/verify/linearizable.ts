/**
 * Is a history of one register linearizable? Wing and Gong's search with Lowe's memo, as in Porcupine (anishathalye/porcupine
 * `checker.go`, checkSingle): calls and returns in one list by time; a call whose operation is possible now is taken out
 * with its return, and a return that is reached with its operation not taken means one step back. A pair (set of operations
 * taken, state) that was tried once is not tried again. Only writes are choices: a read that is possible is taken at once.
 *
 * Linearizability is local (Herlihy and Wing 1990, theorem 1), so a history of many keys is checked key by key. An operation
 * of unknown fate may take effect at any time after its call, so its return is at the end of time, or never: it need not be
 * taken. One that was not executed is left out; a read of its value then fits nowhere.
 *
 * Pure: the budget is steps, not time, so that a verdict is the same on every machine.
 */
export interface Operation {
  readonly kind: 'read' | 'write'
  /** What was written or read; null: no value. Written values are unique, or the verdict is merely weaker. */
  readonly value: string | null
  readonly calledAt: number
  /** Ignored unless `ok`. */
  readonly returnedAt: number
  readonly outcome: 'ok' | 'uncertain' | 'notExecuted'
}

/** `unknown`: the budget was used up. In CI that is a failure. */
export type Verdict = 'linearizable' | 'broken' | 'unknown'

/** Histories of 200 operations of 10 clients need some thousands; a million steps take about a second. */
export const stepsMaxDefault = 1_000_000

interface Entry {
  readonly id: number
  /** Of a call: its return. */
  match: Entry | undefined
  prev: Entry
  next: Entry | undefined
}

export function checkRegister(
  history: readonly Operation[],
  initial: string | null = null,
  stepsMax = stepsMaxDefault,
): Verdict {
  const isRead = new Set(history.flatMap(({ kind, value }) => (kind === 'read' ? [value] : [])))
  // A write of unknown fate whose value nobody has read may as well never have run.
  const operations = history.filter(
    ({ kind, outcome, value }) =>
      outcome === 'ok' || (kind === 'write' && outcome === 'uncertain' && isRead.has(value)),
  )
  const states = new Map<string | null, number>()
  const stateOf = (value: string | null): number => {
    const known = states.get(value)
    if (known !== undefined) return known
    states.set(value, states.size)
    return states.size - 1
  }
  const values = operations.map(({ value }) => stateOf(value))
  let state = stateOf(initial)
  const head = listOf(operations)
  const bits = new Uint32Array((operations.length + 31) >>> 5)
  const tried = new Set<string>()
  const taken: { call: Entry; before: number }[] = []
  let open = operations.filter(({ outcome }) => outcome === 'ok').length
  let entry = head.next
  const take = (call: Entry): void => {
    const { id } = call
    bits[id >>> 5]! |= 1 << (id & 31)
    taken.push({ call, before: state })
    state = values[id]!
    lift(call)
    if (operations[id]!.outcome === 'ok') open--
  }
  /** Every read that is possible now, at once: taking it changes nothing for the others, and later it can only get harder. */
  const takeReads = (): void => {
    let call = head.next
    while (call?.match !== undefined) {
      const isPossible = operations[call.id]!.kind === 'read' && values[call.id] === state
      if (isPossible) take(call)
      call = isPossible ? call.prev.next : call.next
    }
  }
  takeReads()
  entry = head.next
  for (let steps = 0; open > 0; steps++) {
    if (steps > stepsMax) return 'unknown'
    if (entry === undefined) throw new Error('a history ends with the return of what is open')
    if (entry.match !== undefined) {
      const { id } = entry
      if (operations[id]!.kind === 'write') {
        bits[id >>> 5]! |= 1 << (id & 31)
        const key = `${bits.join()}:${values[id]}`
        bits[id >>> 5]! &= ~(1 << (id & 31))
        if (!tried.has(key)) {
          tried.add(key)
          take(entry)
          takeReads()
          entry = head.next
          continue
        }
      }
      entry = entry.next
    } else {
      // Back to before the last write, and with it the reads behind it.
      for (;;) {
        const last = taken.pop()
        if (last === undefined) return 'broken'
        const { id } = last.call
        state = last.before
        bits[id >>> 5]! &= ~(1 << (id & 31))
        if (operations[id]!.outcome === 'ok') open++
        unlift(last.call)
        if (operations[id]!.kind === 'read') continue
        entry = last.call.next
        break
      }
    }
  }
  return 'linearizable'
}

/** Calls and returns in the order of time, behind a head. What meets in one moment is taken to overlap. */
function listOf(operations: readonly Operation[]): Entry {
  const events = operations.flatMap((operation, id) => {
    const returnedAt = operation.outcome === 'ok' ? operation.returnedAt : Number.POSITIVE_INFINITY
    return [
      { id, at: operation.calledAt, isCall: true },
      { id, at: returnedAt, isCall: false },
    ]
  })
  events.sort((a, b) => (a.at === b.at ? Number(b.isCall) - Number(a.isCall) : a.at < b.at ? -1 : 1))
  const head: Entry = { id: -1, match: undefined, prev: undefined as unknown as Entry, next: undefined }
  const calls = new Map<number, Entry>()
  let last = head
  for (const { id, isCall } of events) {
    const entry: Entry = { id, match: undefined, prev: last, next: undefined }
    last.next = entry
    last = entry
    if (isCall) calls.set(id, entry)
    else calls.get(id)!.match = entry
  }
  return head
}

function lift(call: Entry): void {
  call.prev.next = call.next
  if (call.next !== undefined) call.next.prev = call.prev
  const end = call.match!
  end.prev.next = end.next
  if (end.next !== undefined) end.next.prev = end.prev
}

function unlift(call: Entry): void {
  const end = call.match!
  end.prev.next = end
  if (end.next !== undefined) end.next.prev = end
  call.prev.next = call
  if (call.next !== undefined) call.next.prev = call
}
