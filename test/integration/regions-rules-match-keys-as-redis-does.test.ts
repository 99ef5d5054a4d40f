import fc from 'fast-check'
import { globMatch } from '../../src/routing/glob.ts'
import { startRedis } from '../kit/servers.ts'

test('a glob picks the keys that KEYS of a real server picks', async () => {
  const server = await startRedis()
  const keys = [
    '',
    'a',
    'b',
    'ab',
    'abc',
    'aXc',
    'a*c',
    '[a]',
    'a]',
    '^',
    '-',
    'a-c',
    '\\',
    'a\\b',
    'user:1:cart',
    'user::cart',
  ]
  for (const key of keys) await server.call('SET', key, '1')
  const signs = ['a', 'b', 'c', ':', '*', '*', '?', '[', ']', '^', '-', '\\']
  const random = fc.sample(fc.string({ unit: fc.constantFrom(...signs), minLength: 1, maxLength: 8 }), {
    numRuns: 1_500,
    seed: 7,
  })
  let matched = 0
  for (const pattern of ['*', '**', 'user:*:cart', '[^]', '[]', '[a-', '[a-c', 'a\\', '\\', '[\\', ...random]) {
    const theirs = await server.call('KEYS', pattern)
    const ours = keys.filter((key) => globMatch(Buffer.from(pattern), Buffer.from(key), 0, key.length))
    // `**` and the like: only KEYS's own short cut for `*` finds the empty key.
    const expected = Array.isArray(theirs) ? theirs.map(String).sort() : []
    expect([pattern, ours.filter((key) => key !== '').sort()]).toEqual([pattern, expected.filter((key) => key !== '')])
    if (pattern === '*') expect(ours).toContain('')
    matched += ours.length
  }
  expect(matched).toBeGreaterThan(1_000)
})
