import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { Quota, TenantCells } from '../../../src/metrics/cells.ts'
import { MemoryAccount } from '../../../src/quota/memory-account.ts'
import { encodeRequest } from '../../../src/resp/encode.ts'
import { framed, RequestFramer } from '../../../src/resp/request-framer.ts'
import { MemoryGate, memoryGoesOn, memoryRefused, memoryWaits } from '../../../src/session/memory-gate.ts'
import type { Session } from '../../../src/session/session.ts'

const table = buildCommandTable()
const scripts = new Map([['a'.repeat(40), Buffer.from('#!lua flags=no-writes\nreturn 1')]])

function gateOf(limitBytes: number, limitKeys = Number.POSITIVE_INFINITY) {
  const frame = new RequestFramer()
  const state: { bytes: Buffer; isBlind: boolean } = { bytes: Buffer.alloc(0), isBlind: false }
  const gate = new MemoryGate(table, {
    frame,
    get bytes() {
      return state.bytes
    },
    scriptBody: (_session, sha) => scripts.get(sha),
    isBlind: () => state.isBlind,
    confirm() {},
  })
  const account = new MemoryAccount(limitBytes, limitKeys)
  const cells = new TenantCells()
  const queued: { id: number }[] = []
  const session = {
    prefix: Buffer.from('t:'),
    account: { tenant: { cells } },
    transaction: { queued },
  } as unknown as Session
  const idOf = (name: string): number => table.byName(name)!.id
  const check = (...args: string[]): number => {
    state.bytes = encodeRequest(args)
    expect(frame.frame(state.bytes, 0, state.bytes.length)).toBe(framed)
    return gate.check(session, account, idOf(args[0]!.toLowerCase()))
  }
  const run = (...args: string[]): number => {
    const verdict = check(...args)
    if (verdict === memoryGoesOn) gate.note(session, account, idOf(args[0]!.toLowerCase()))
    return verdict
  }
  const fill = (): void => account.bytes.begin(limitBytes, 0)
  return { gate, account, cells, queued, state, check, run, fill, idOf }
}

describe('a full tenant', () => {
  test('is refused what Redis refuses when memory is full, and that is counted', () => {
    const { check, fill, cells, gate } = gateOf(1_000)
    fill()
    for (const args of [
      ['SET', 'k', 'v'],
      ['LPUSH', 'k', 'v'],
      ['SUNIONSTORE', 'a', 'b'],
      ['APPEND', 'k', 'v'],
    ])
      expect([args[0], check(...args)]).toEqual([args[0], memoryRefused])
    expect([gate.refusal, cells.quotas?.refused[Quota.memory]]).toEqual(['OOM', 4])
  })

  test('reads, deletes, pops and sets expiries', () => {
    const { check, fill } = gateOf(1_000)
    fill()
    for (const args of [
      ['GET', 'k'],
      ['DEL', 'k'],
      ['UNLINK', 'k'],
      ['EXPIRE', 'k', '1'],
      ['LPOP', 'k'],
      ['RENAME', 'a', 'b'],
    ])
      expect([args[0], check(...args)]).toEqual([args[0], memoryGoesOn])
  })

  test('runs scripts that say that they write nothing, and no others', () => {
    const { check, fill, gate } = gateOf(1_000)
    fill()
    expect(check('EVAL', 'return 1', '0')).toBe(memoryRefused)
    expect(gate.refusal).toBe('OOM')
    expect(check('EVAL', '#!lua\nreturn 1', '0')).toBe(memoryRefused)
    expect(gate.refusal).toBe('OOM_SCRIPT')
    expect(check('EVAL', '#!lua flags=allow-oom\nreturn 1', '0')).toBe(memoryGoesOn)
    expect(check('EVALSHA', 'A'.repeat(40), '0')).toBe(memoryGoesOn)
    expect(check('EVALSHA', 'b'.repeat(40), '0')).toBe(memoryRefused)
    expect(check('FCALL', 'f', '0')).toBe(memoryRefused)
    expect(check('EVAL_RO', 'return 1', '0')).toBe(memoryGoesOn)
  })

  test('has an EXEC refused that would take memory, and no other', () => {
    const { check, fill, queued, idOf } = gateOf(1_000)
    fill()
    queued.push({ id: idOf('get') }, { id: idOf('del') })
    expect(check('EXEC')).toBe(memoryGoesOn)
    queued.push({ id: idOf('set') })
    expect(check('EXEC')).toBe(memoryRefused)
  })
})

describe('what was accepted', () => {
  test('counts with what each argument takes besides its bytes, and with the keys that it names', () => {
    const { run, account } = gateOf(1e9, 1e9)
    expect(run('MSET', 'a', 'x'.repeat(1_000), 'b', 'y')).toBe(memoryGoesOn)
    expect(account.keys.written).toBe(2)
    expect(account.bytes.written).toBeGreaterThan(1_002 + 4 * 64)
    expect(account.bytes.written).toBeLessThan(1_400)
    run('GET', 'a')
    run('DEL', 'a')
    expect([account.keys.written, account.deletes]).toEqual([2, 1])
  })

  test('counts more where the result has nothing to do with the request', () => {
    const { run, account } = gateOf(1e9)
    run('SETRANGE', 'k', '100000000', 'x')
    expect(account.bytes.written).toBeGreaterThan(60_000)
  })

  test('makes the tenant wait at its limit until it is known whether it was reached', () => {
    const { run, account, state } = gateOf(10_000)
    for (let i = 0; i < 6; i++) expect(run('SET', `k${i}`, 'x'.repeat(1_400))).toBe(memoryGoesOn)
    expect(run('SET', 'k', 'x'.repeat(1_400))).toBe(memoryGoesOn)
    expect(run('SET', 'k', 'v')).toBe(memoryWaits)
    expect(run('GET', 'k')).toBe(memoryGoesOn)
    state.isBlind = true
    expect(run('SET', 'k', 'v')).toBe(memoryGoesOn)
    expect(account.isFull).toBe(false)
  })

  test('is remembered by its key now and then, with the prefix', () => {
    const { run, account } = gateOf(1e9)
    for (let i = 0; i < 40; i++) run('RPUSH', 'list', 'x'.repeat(100_000))
    expect(account.recentKeys).toEqual(['t:list'])
  })
})
