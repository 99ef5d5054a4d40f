import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { closedInOwnDatabase } from '../../../src/commands/policy.ts'
import { ROUTE } from '../../../src/commands/spec.ts'
import { Cells } from '../../../src/metrics/cells.ts'
import { LEVEL } from '../../../src/routing/choose.ts'
import { type AccountOptions, Accounts } from '../../../src/session/accounts.ts'

const table = buildCommandTable()
const routing: AccountOptions['routing'] = {
  consistency: 'session',
  maxStalenessMs: 500,
  maxStalenessIsCeiling: false,
  whenStale: 'primary',
  maxWaitMs: 20,
  rules: [],
}

function build(options: Partial<AccountOptions>): Accounts {
  const cells = new Cells({ commandNames: table.specs.map((spec) => spec.name) })
  return new Accounts({ routing, tenants: [], operators: [], ...options }, table, cells)
}

function route(accounts: Accounts, user: string, command: string): number {
  return accounts.get(user)!.route[table.byName(command)!.id]!
}

const users = [
  { name: 'app', readOnly: false },
  { name: 'report', readOnly: true },
]

test('what the tenant denies is denied to its users, by command, subcommand and category, and to nobody else', () => {
  const accounts = build({
    tenants: [
      { id: 'shop', prefix: 'shop:', deny: ['SORT', 'object|freq', '@geo', 'echo'], users },
      { id: 'free', prefix: 'free:', deny: [], users: [{ name: 'free', readOnly: false }] },
    ],
  })
  for (const command of ['sort', 'object|freq', 'geoadd', 'geosearch', 'echo']) {
    expect([command, route(accounts, 'app', command)]).toEqual([command, ROUTE.denied])
    expect([command, route(accounts, 'report', command)]).toEqual([command, ROUTE.denied])
    expect([command, route(accounts, 'free', command)]).toEqual([command, table.route[table.byName(command)!.id]])
  }
  for (const command of ['get', 'set', 'sort_ro', 'object|encoding', 'zadd', 'ping']) {
    expect([command, route(accounts, 'app', command)]).toEqual([command, table.route[table.byName(command)!.id]])
  }
})

test('without scripts, as by default, nothing of theirs is there; a reader has those that only read', () => {
  const without = build({ tenants: [{ id: 'shop', prefix: 'shop:', deny: [], users }] })
  const having = build({ tenants: [{ id: 'shop', prefix: 'shop:', deny: [], users, scripts: 'declared' }] })
  for (const name of ['eval', 'evalsha_ro', 'fcall', 'script|load', 'script|exists', 'function|list']) {
    expect([name, route(without, 'app', name)]).toEqual([name, ROUTE.denied])
    expect([name, route(having, 'app', name)]).toEqual([name, table.route[table.byName(name)!.id]])
  }
  for (const name of ['eval_ro', 'evalsha_ro', 'fcall_ro', 'script|load', 'script|exists', 'function|list'])
    expect([name, route(having, 'report', name)]).toEqual([name, table.route[table.byName(name)!.id]])
  for (const name of ['eval', 'evalsha', 'fcall', 'script|flush', 'script|kill', 'function|load', 'function|flush'])
    expect([name, route(having, 'report', name)]).toEqual([name, ROUTE.denied])
})

test('a read-only user has no command that may change something, and every read', () => {
  const accounts = build({ tenants: [{ id: 'shop', prefix: 'shop:', deny: [], users, scripts: 'any' }] })
  for (const spec of table.specs) {
    const own = accounts.get('report')!.route[spec.id]!
    if (table.route[spec.id] === ROUTE.write) expect([spec.name, own]).toEqual([spec.name, ROUTE.denied])
    if (table.route[spec.id] === ROUTE.read) expect([spec.name, own]).toEqual([spec.name, ROUTE.read])
  }
  // The columns are shared by users of equal rights only, whoever came first.
  expect(route(accounts, 'app', 'set')).toBe(ROUTE.write)
})

test('an operator sends nothing to a node', () => {
  const accounts = build({ operators: [{ name: 'ops', readOnly: false }] })
  const own = accounts.get('ops')!
  expect(own.tenant).toBeUndefined()
  expect([...own.route].filter((it) => it >= ROUTE.read)).toEqual([])
  expect(route(accounts, 'ops', 'ping')).toBe(ROUTE.proxy)
})

test('the promise of a user comes before the tenant’s, the tenant’s before that of routing', () => {
  const accounts = build({
    tenants: [
      {
        id: 'shop',
        prefix: 'shop:',
        deny: [],
        consistency: 'eventual',
        maxStalenessMs: 2_000,
        whenStale: 'error',
        users: [...users, { name: 'exact', readOnly: false, consistency: 'strong', maxStalenessMs: 10 }],
      },
      { id: 'free', prefix: 'free:', deny: [], users: [{ name: 'free', readOnly: false }] },
    ],
  })
  const promise = (user: string) => {
    const { level, boundedMs, ceilingMs, whenStale } = accounts.get(user)!
    return [level, boundedMs, ceilingMs, whenStale]
  }
  expect(promise('app')).toEqual([LEVEL.eventual, 2_000, 2_000, 'error'])
  expect(promise('exact')).toEqual([LEVEL.strong, 10, 10, 'error'])
  expect(promise('free')).toEqual([LEVEL.session, 500, Number.POSITIVE_INFINITY, 'primary'])
})

test('what finds keys by their prefix is denied where keys have none, whatever the table says of it', () => {
  // As if all of it were built: then only the own database stands in its way.
  const open = buildCommandTable()
  const closed = open.specs.filter((spec) =>
    closedInOwnDatabase.some((name) => spec.name === name || spec.name.startsWith(`${name}|`)),
  )
  for (const spec of closed) open.route[spec.id] = ROUTE.read
  for (const name of closedInOwnDatabase) expect([name, open.byName(name)?.name]).toEqual([name, name])
  const accounts = new Accounts(
    {
      routing,
      operators: [],
      tenants: [
        { id: 'own', prefix: 'own:', database: 3, deny: [], scripts: 'any', users: [{ name: 'own', readOnly: false }] },
        { id: 'shop', prefix: 'shop:', deny: [], scripts: 'any', users: [{ name: 'shop', readOnly: false }] },
      ],
    },
    open,
    new Cells({ commandNames: open.specs.map((spec) => spec.name) }),
  )
  for (const spec of closed) {
    expect([spec.name, accounts.get('own')!.route[spec.id]]).toEqual([spec.name, ROUTE.denied])
    expect([spec.name, accounts.get('shop')!.route[spec.id]]).toEqual([spec.name, ROUTE.read])
  }
  expect(closed.length).toBeGreaterThan(20)
})

describe('many tenants', () => {
  const many = Array.from({ length: 2_000 }, (_, i) => ({
    id: `t${i}`,
    prefix: `t${i}:`,
    deny: [],
    users: [
      { name: `a${i}`, readOnly: false, consistency: 'eventual' as const },
      { name: `b${i}`, readOnly: false },
    ],
  }))
  const setUp = () => {
    const cells = new Cells({ commandNames: table.specs.map((spec) => spec.name) })
    const accounts = new Accounts({ routing, tenants: many, operators: [] }, table, cells)
    return { cells, accounts, made: () => [cells.tenants.size, accounts.usedTenants.size] }
  }

  test('nothing is made for those who never come, nor for whom somebody only asks about', () => {
    const { accounts, made } = setUp()
    expect(made()).toEqual([0, 0])
    expect(accounts.isUserOf('a7', 't7')).toBe(true)
    expect(accounts.isUserOf('a7', 't8')).toBe(false)
    expect(accounts.isUserOf('nobody', undefined)).toBe(false)
    expect([accounts.usedTenant('t7'), accounts.get('nobody'), accounts.tenant('nobody')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(made()).toEqual([0, 0])
  })

  test('who comes has one account and one state with what others of the tenant count, and they stay', () => {
    const { cells, accounts, made } = setUp()
    const first = accounts.get('a7')!
    first.tenant!.cells.reads += 3
    const second = accounts.get('b7')!
    expect(second.tenant).toBe(first.tenant)
    expect(accounts.get('a7')).toBe(first)
    expect([accounts.tenant('t7'), accounts.usedTenant('t7')]).toEqual([first.tenant, first.tenant])
    expect(cells.tenants.get('t7')).toBe(first.tenant!.cells)
    expect(cells.tenant('t7').reads).toBe(3)
    expect(made()).toEqual([1, 1])
  })

  test('a write of the first user counts for session reads of one who has not come yet', () => {
    const { accounts } = setUp()
    const early = accounts.get('a7')!
    expect([early.level, early.tenant!.hasSessionReads]).toEqual([LEVEL.eventual, true])
  })
})
