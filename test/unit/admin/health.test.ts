/** Ready or not, and the reason. */
import { type HealthFacts, healthOf } from '../../../src/admin/health.ts'

const node = (region: string, isReadable: boolean) => ({
  isReadable,
  address: { name: region, region, host: '', port: 0, tls: false },
})
const [eu, us] = [node('eu', true), node('us', true)]
const well: HealthFacts = {
  isListening: true,
  isDraining: false,
  hasMemory: true,
  nodes: [eu, us],
  primary: eu,
  isSplit: false,
  trouble: undefined,
}
const told = (facts: Partial<HealthFacts>) => {
  const { live, ready, checks } = healthOf({ ...well, ...facts })
  return { live, ready, details: checks.map(({ ok, detail }) => `${ok ? 'ok' : 'not'}: ${detail}`) }
}

test('a proxy that serves is ready, and tells where the primary is', () => {
  expect(told({})).toEqual({
    live: true,
    ready: true,
    details: ['ok: clients are accepted', 'ok: 2 of 2 nodes', 'ok: eu'],
  })
})

test.each([
  ['it is not listening yet', { isListening: false }, 0, 'not: clients are accepted'],
  ['it drains', { isDraining: true }, 0, 'not: draining'],
  ['memory is short', { hasMemory: false }, 0, 'not: no new clients: memory is short'],
  ['no node can be read', { nodes: [node('eu', false)] }, 1, 'not: 0 of 1 nodes'],
])('it is not ready when %s, but lives', (_, facts, check, detail) => {
  const { live, ready, details } = told(facts)
  expect([live, ready, details[check]]).toEqual([true, false, detail])
})

test.each([
  ['there is none', { primary: undefined }, 'not: none'],
  ['the Sentinels name none', { primary: undefined, trouble: 'too few Sentinels' }, 'not: too few Sentinels'],
  ['two nodes say that they are it', { primary: undefined, isSplit: true }, 'not: two nodes say master'],
])('without a primary it stays ready, for reads go on: %s', (_, facts, detail) => {
  const { ready, details } = told(facts)
  expect([ready, details[2]]).toEqual([true, detail])
})
