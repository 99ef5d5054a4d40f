import { PrefixIndex } from '../../../src/quota/prefix-index.ts'
import { askKeys, type SweepPlan, type SweepResult, sweep } from '../../../src/usage/sweep.ts'
import { SweepPace } from '../../../src/usage/sweep-pace.ts'
import { FakeServer } from './fake-server.ts'

const prefixes = ['a:', 'b:', 'a:b:']
const index = new PrefixIndex(prefixes.map((prefix) => Buffer.from(prefix)))

let server: FakeServer
beforeEach(() => {
  server = new FakeServer()
})

function planOf(more: Partial<SweepPlan> = {}): SweepPlan {
  return {
    node: 0,
    keyspaces: [{ database: 0, owner: index }],
    pace: new SweepPace(false),
    certain: () => undefined,
    wantsSizes: () => true,
    keysBefore: () => undefined,
    stop: () => undefined,
    ...more,
  }
}

function fill(count: number, name: (i: number) => string, bytes: (i: number) => number, database = 0): void {
  for (let i = 0; i < count; i++) server.databases[database]!.set(name(i), bytes(i))
}

const found = (result: SweepResult, owner: number): [number, number] => {
  const { keys, bytes } = result.owners.get(owner)?.result() ?? { keys: 0, bytes: 0 }
  return [keys, bytes]
}

describe('a sweep', () => {
  test('counts each key for the longest prefix, and those of nobody apart', async () => {
    fill(
      1_000,
      (i) => `a:${i}`,
      () => 100,
    )
    fill(
      500,
      (i) => `a:b:${i}`,
      () => 200,
    )
    fill(
      300,
      (i) => `stray${i}`,
      () => 7,
    )
    const result = await sweep(server, planOf(), 10)
    expect([found(result, 0), found(result, 1), found(result, 2)]).toEqual([
      [1_000, 100_000],
      [0, 0],
      [500, 100_000],
    ])
    expect([result.strays, result.names, result.sizes]).toEqual([300, 1_800, 1_500])
  })

  test('asks in each step about those that it has met in it, and not about all', async () => {
    const tenants = 200
    const many = new PrefixIndex(Array.from({ length: tenants }, (_, i) => Buffer.from(`t${i}:`)))
    // In the order of SCAN: one tenant's after the other's.
    for (let i = 0; i < tenants; i++)
      fill(
        50,
        (k) => `t${i}:${k}`,
        () => 100,
      )
    let questions = 0
    const keysBefore = (): undefined => {
      questions++
      return undefined
    }
    const result = await sweep(server, planOf({ keyspaces: [{ database: 0, owner: many }], keysBefore }), 10)
    expect([result.owners.size, result.sizes]).toEqual([tenants, 50 * tenants])
    expect(questions).toBeLessThan(5 * tenants)
  })

  test('takes a database of the servers for its tenant whole, and one that is not there for empty', async () => {
    server.databases.push(new Map())
    fill(
      10,
      (i) => `b:${i}`,
      () => 50,
      1,
    )
    fill(
      5,
      (i) => `b:${i}`,
      () => 50,
    )
    const keyspaces = [
      { database: 0, owner: index },
      { database: 1, owner: 7 },
      { database: 9, owner: 8 },
    ]
    const result = await sweep(server, planOf({ keyspaces }), 10)
    expect([found(result, 1), found(result, 7), found(result, 8)]).toEqual([
      [5, 250],
      [10, 500],
      [0, 0],
    ])
  })

  test('does not count a key that is gone when its size is asked for', async () => {
    fill(
      100,
      (i) => `a:${i}`,
      () => 100,
    )
    server.onAsk = (command) => {
      if (command.startsWith('MEMORY USAGE a:1 ')) server.keys.delete('a:1')
    }
    expect(found(await sweep(server, planOf(), 10), 0)).toEqual([99, 9_900])
  })

  test('looks closely at large values, and keeps the names of the largest', async () => {
    fill(
      5_000,
      (i) => `a:${i}`,
      () => 100,
    )
    server.keys.set('a:big', 5_000_000).set('a:larger:hash', 9_000_000)
    const result = await sweep(server, planOf(), 10)
    expect(server.asked.filter((command) => command.includes('big') || command.includes('larger'))).toEqual([
      'MEMORY USAGE a:big SAMPLES 20',
      'MEMORY USAGE a:larger:hash SAMPLES 20',
      ...['TYPE a:big', 'MEMORY USAGE a:big SAMPLES 500'],
      ...['TYPE a:larger:hash', 'MEMORY USAGE a:larger:hash SAMPLES 500'],
    ])
    expect(
      result.large
        .get(0)!
        .slice(0, 2)
        .map(({ name }) => name),
    ).toEqual(['a:larger:hash', 'a:big'])
    // A string is known exactly; of a hash some fields were looked at.
    const { bytes, errorBytes } = result.owners.get(0)!.result()
    expect(bytes).toBe(14_500_000)
    expect(errorBytes).toBe(Math.ceil((1.96 * 9_000_000) / Math.sqrt(500)))
  })

  test('measures keys that are known to be large whatever the sample says', async () => {
    fill(
      50_000,
      (i) => `a:${i}`,
      (i) => 90 + (i % 20),
    )
    server.keys.set('a:big', 50_000_000)
    const certain = new Set(['a:big'])
    const result = await sweep(server, planOf({ certain: () => certain, keysBefore: () => 1_000_000 }), 10)
    const { keys, bytes, errorBytes, measured } = result.owners.get(0)!.result()
    const true0 = 50_000_000 + 50_000 * 99.5
    expect(keys).toBe(50_001)
    expect(measured).toBeLessThan(20_000)
    expect(Math.abs(bytes - true0)).toBeLessThanOrEqual(errorBytes)
    expect(errorBytes).toBeLessThan(0.05 * 5_000_000)
  })

  test('ends when the node goes away, another server answers, or it may not go on', async () => {
    fill(
      20_000,
      (i) => `a:${i}`,
      () => 100,
    )
    const at = (nth: number, then: () => void): void => {
      let scans = 0
      server.onAsk = (command) => {
        if (command.startsWith('SCAN') && ++scans === nth) then()
      }
    }
    at(3, () => {
      server.id = 'run-2'
    })
    await expect(sweep(server, planOf(), 10)).rejects.toThrow('another server answers')
    let may = true
    at(3, () => {
      may = false
    })
    const stop = (): string | undefined => (may ? undefined : 'it is the primary now')
    await expect(sweep(server, planOf({ stop }), 10)).rejects.toThrow('it is the primary now')
    at(3, () => {
      server.id = ''
    })
    await expect(sweep(server, planOf(), 10)).rejects.toThrow('the connection was lost')
  })

  test('rests between its steps, so that it takes its share of the server and no more', async () => {
    fill(
      100_000,
      (i) => `a:${i}`,
      () => 100,
    )
    const pace = new SweepPace(false)
    await sweep(server, planOf({ pace, keysBefore: () => 100_000 }), 10)
    expect(pace.spentMs / (server.nowMs + 100)).toBeLessThanOrEqual(0.081)
    expect(pace.spentMs / (server.nowMs + 100)).toBeGreaterThan(0.07)
  })
})

describe('a check', () => {
  test('draws names from all over the keyspace, and says how far it may be off', async () => {
    fill(
      100_000,
      (i) => (i % 10 === 0 ? `b:${i}` : `a:${i}`),
      () => 100,
    )
    const result = await sweep(
      server,
      planOf({ names: 10_000, wantsSizes: (owner) => owner === 1, keysBefore: () => 0 }),
      0,
    )
    const there = result.databases.get(0)!
    expect(there).toMatchObject({ before: 100_000, isSample: true })
    expect(there.names).toBeLessThan(12_000)
    const { bytes, keys, errorBytes, errorKeys } = result.owners.get(1)!.scaled(there.names, there.before)
    expect(Math.abs(keys - 10_000)).toBeLessThanOrEqual(errorKeys)
    expect(Math.abs(bytes - 1_000_000)).toBeLessThanOrEqual(errorBytes)
    expect(errorBytes).toBeLessThan(80_000)
    expect(
      server.asked.filter((command) => command.startsWith('MEMORY')).every((command) => command.includes(' b:')),
    ).toBe(true)
  })

  test('asks for certain keys by name, and leaves them out of what it draws', async () => {
    fill(
      100_000,
      (i) => `a:${i}`,
      () => 100,
    )
    server.keys.set('a:big', 9_000_000)
    const certain = new Set(['a:big', 'a:gone'])
    const plan = planOf({ names: 100_000, certain: () => certain, keysBefore: () => 0 })
    const result = await sweep(server, plan, 0)
    expect(result.owners.get(0)!.result().bytes).toBeLessThanOrEqual(100 * 101_000)
    expect(await askKeys(server, plan, 0, [...certain])).toEqual([{ bytes: 9_000_000, variance: 0, name: 'a:big' }])
  })

  test('looks at all keys of a small server', async () => {
    fill(
      300,
      (i) => `a:${i}`,
      () => 100,
    )
    const result = await sweep(server, planOf({ names: 100, wholeBelow: 1_000 }), 0)
    expect([result.databases.get(0)!.isSample, found(result, 0)]).toEqual([false, [300, 30_000]])
  })

  test('ends where a database was emptied meanwhile', async () => {
    fill(
      50_000,
      (i) => `a:${i}`,
      () => 100,
    )
    server.onAsk = (command) => {
      if (command.startsWith('SCAN')) server.keys.clear()
    }
    const result = await sweep(server, planOf({ names: 1_000, keysBefore: () => 0 }), 0)
    expect(result.names).toBe(0)
  })
})
