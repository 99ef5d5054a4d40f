import fc from 'fast-check'
import { decodeCursor, encodeCursor, serverCursorMax } from '../../../src/tenant/scan-cursor.ts'

const servers = ['a'.repeat(40), 'b'.repeat(40), '']
const cursor = fc.bigInt({ min: 1n, max: serverCursorMax })

test('a cursor comes back as the server’s own, with its node', () => {
  fc.assert(
    fc.property(cursor, fc.constantFrom(0, 1), (server, node) => {
      const text = encodeCursor(server, servers[node]!, 'shop')!
      expect(text).toMatch(/^[1-9]\d*$/)
      // Clients whose numbers are doubles keep every digit.
      expect(Number.isSafeInteger(Number(text))).toBe(true)
      // The check has 15 bits: of two servers the wrong one answers once in 32,768 times, which is no harm and no proof.
      const found = decodeCursor(text, [servers[node]!], 'shop')
      expect(found).toEqual({ node: 0, server })
    }),
  )
})

test('the end stays 0, and a cursor above 36 bits has no form', () => {
  expect(encodeCursor(0n, servers[0]!, 'shop')).toBe('0')
  expect(encodeCursor(serverCursorMax, servers[0]!, 'shop')).toBeDefined()
  expect(encodeCursor(serverCursorMax + 1n, servers[0]!, 'shop')).toBeUndefined()
})

test('cursors of another tenant or another run of a server, and made up ones, pass the check hardly ever', () => {
  let passed = 0
  for (let i = 1; i <= 4_000; i++) {
    const text = encodeCursor(BigInt(i * 7919), servers[0]!, 'shop')!
    if (decodeCursor(text, [servers[0]!], 'other') !== undefined) passed++
    if (decodeCursor(text, [servers[1]!], 'shop') !== undefined) passed++
    if (decodeCursor(String(i * 1_000_003), servers, 'shop') !== undefined) passed++
  }
  // 16,000 tries at one in 32,768.
  expect(passed).toBeLessThan(6)
})

test('what is no decimal below 2^52 is no cursor', () => {
  for (const text of ['', '-1', '+1', '01', '1x', ' 1', '4503599627370496', '99999999999999999', '0'])
    expect([text, decodeCursor(text, servers, 'shop')]).toEqual([text, undefined])
})

test('cursors do not show the size of the table: those of a small one spread over all 52 bits', () => {
  const values = Array.from({ length: 64 }, (_, i) => Number(encodeCursor(BigInt(i + 1), servers[0]!, 'shop')))
  expect(Math.max(...values)).toBeGreaterThan(2 ** 51)
  expect(new Set(values.map((value) => Math.floor(value / 2 ** 49))).size).toBe(8)
})
