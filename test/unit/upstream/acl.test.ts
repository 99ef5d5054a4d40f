/** When a tenant's Redis user is set up, and what happens when the server refuses; its rules run in tenant-users.test.ts. */
import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { TenantUsers, tenantUserSecret } from '../../../src/upstream/acl.ts'

function build() {
  const world = { nowMs: 0, refusals: [] as string[] }
  const users = new TenantUsers({
    table: buildCommandTable(),
    tenant: (id) => (id === 'shop' ? { prefix: 'shop:', deny: [] } : undefined),
    password: (node) => `secret of ${node}`,
    version: () => '7.0.15',
    hasOneDatabase: () => false,
    now: () => world.nowMs,
    refused: (node, code) => world.refusals.push(`${node} ${code}`),
  })
  const steps = (node = 0, runId = 'run') => users.login('shop', node, runId)?.map((args) => args[0])
  return { users, world, steps }
}

test('set up at the first lease on a run of a node, then only logged in as', () => {
  const { steps, users } = build()
  expect(steps()).toEqual(['ACL', 'AUTH'])
  expect(steps()).toEqual(['AUTH'])
  expect(steps(1)).toEqual(['ACL', 'AUTH'])
  expect(steps(0, 'after a restart')).toEqual(['ACL', 'AUTH'])
  expect(users.login('nobody', 0, 'run')).toBeUndefined()
})

test('set up again when somebody has taken the user away', () => {
  const { steps, users, world } = build()
  steps()
  users.loginRefused('shop', 0, 'AUTH', 'WRONGPASS')
  expect(steps()).toEqual(['ACL', 'AUTH'])
  expect(world.refusals).toEqual([])
})

test('a node that does not let us is left alone for a minute, and said once', () => {
  const { steps, users, world } = build()
  steps()
  users.loginRefused('shop', 0, 'ACL', 'NOPERM')
  expect([steps(), steps(1)]).toEqual([undefined, ['ACL', 'AUTH']])
  world.nowMs = 60_001
  expect(steps()).toEqual(['ACL', 'AUTH'])
  users.loginRefused('shop', 0, 'ACL', 'NOPERM')
  expect(world.refusals).toEqual(['0 NOPERM'])
})

test('secrets differ by tenant and by the proxy’s own password, and show neither', () => {
  const secrets = [tenantUserSecret('p', 'a'), tenantUserSecret('p', 'b'), tenantUserSecret('q', 'a')]
  expect(new Set(secrets).size).toBe(3)
  for (const secret of secrets) expect(secret).toMatch(/^[0-9a-f]{64}$/)
})

test('configured otherwise: nodes that know the user are told at once, and no others', () => {
  const tenants: Record<string, { prefix: string; deny: string[] }> = { shop: { prefix: 'shop:', deny: [] } }
  const users = new TenantUsers({
    table: buildCommandTable(),
    tenant: (id) => tenants[id],
    password: () => 'secret',
    version: () => '7.0.15',
    hasOneDatabase: () => false,
    now: () => 0,
    refused() {},
  })
  const steps = (node: number) => users.login('shop', node, 'run')?.map((args) => args[0])
  steps(1)
  expect(users.renew()).toEqual([])
  tenants['shop'] = { prefix: 'shop:', deny: ['incr'] }
  const told = users.renew()
  expect(told.map(({ node, tenant }) => [node, tenant])).toEqual([[1, 'shop']])
  expect(told[0]!.request.slice(0, 3)).toEqual(['ACL', 'SETUSER', 'regis:shop'])
  expect([told[0]!.request.includes('+incr'), told[0]!.request.includes('+get')]).toEqual([false, true])
  expect([steps(1), steps(0)]).toEqual([['AUTH'], ['ACL', 'AUTH']])
  // One that did not take it is told at the next lease.
  users.forget('shop', 1)
  expect(steps(1)).toEqual(['ACL', 'AUTH'])
  delete tenants['shop']
  expect([users.renew(), steps(1)]).toEqual([[], undefined])
})
