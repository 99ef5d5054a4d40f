import { MemoryAccount } from '../../../src/quota/memory-account.ts'
import type { SweepFigures } from '../../../src/usage/sweeper.ts'
import { ToldUsage } from '../../../src/usage/told-usage.ts'

const found = (bytes: number) => ({ bytes, keys: 1, errorBytes: 0, errorKeys: 0 })
const figures = (number: number, bytes: number, more: Partial<SweepFigures> = {}): SweepFigures => ({
  ...{ number, isWhole: true, isSweep: true, tenants: [['shop', found(bytes)]] },
  ...more,
})

function setUp() {
  const account = new MemoryAccount(1_000_000, 100)
  const state = { nowMs: 0, wanted: [] as unknown[] }
  const usage = new ToldUsage({
    accounts: () => new Map([['shop', account]]),
    now: () => state.nowMs,
    askTotals: () => Promise.resolve(),
    want: (tenants) => state.wanted.push(tenants),
  })
  usage.setTenants([{ id: 'shop', prefix: 'shop:', database: 0 }])
  return { account, usage, state }
}

describe('a worker for which another one sweeps', () => {
  test('knows what was found, and besides it only what was written since its mark', async () => {
    const { account, usage, state } = setUp()
    expect(usage.usageOf('shop')).toBeUndefined()
    account.wrote(100_000, 1)
    state.nowMs = 100
    await usage.mark('1/1')
    account.wrote(50_000, 1)
    state.nowMs = 400
    usage.take('1/1', figures(1, 300_000))
    expect(usage.usageOf('shop')!.bytes).toBeGreaterThanOrEqual(300_000)
    expect(usage.usageOf('shop')!.bytes).toBeLessThanOrEqual(350_000)
    expect(usage.usageOf('shop')!.ageMs).toBe(0)
    expect(usage.status.trueAtMs).toBe(100)
  })

  test('takes no figure without a mark of its own, nor one of another start of who sweeps', async () => {
    const { account, usage } = setUp()
    await usage.mark('1/1')
    usage.take('2/1', figures(1, 300_000))
    expect(account.measuredAtMs).toBeNaN()
    usage.take('1/1', figures(1, 300_000))
    expect(account.measuredAtMs).toBe(0)
  })

  test('is not told by a sweep what a check within it knew better', async () => {
    const { usage, state } = setUp()
    await usage.mark('1/1')
    state.nowMs = 50
    await usage.mark('1/2')
    state.nowMs = 80
    usage.take('1/2', figures(2, 500_000, { isSweep: false }))
    usage.take('1/1', figures(1, 100_000))
    expect(usage.usageOf('shop')!.bytes).toBe(500_000)
  })

  test('asks for a look while somebody waits for one, not at every tick', async () => {
    const { account, usage, state } = setUp()
    usage.tick()
    expect(state.wanted).toEqual([])
    let isTold = false
    account.remember('shop:k')
    account.whenLookedAt(() => {
      isTold = true
    })
    for (state.nowMs = 1; state.nowMs < 400; state.nowMs += 50) usage.tick()
    expect(state.wanted).toEqual([[['shop', ['shop:k']]]])
    await usage.mark('1/1')
    usage.take('1/1', figures(1, 10, { isSweep: false, isWhole: false }))
    expect(isTold).toBe(true)
  })

  test('keeps nothing of tenants that have left', async () => {
    const { usage } = setUp()
    await usage.mark('1/1')
    usage.take('1/1', figures(1, 300_000))
    usage.setTenants([])
    expect(usage.usageOf('shop')).toBeUndefined()
    expect(usage.all().bytes).toBe(0)
  })
})
