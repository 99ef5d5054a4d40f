import { fleetRecordBytesMax, fleetRecordLinesMax } from '../../../src/base/limits.ts'
import { encodeRecord, type Line, parseRecord } from '../../../src/quota/fleet-record.ts'

const line: Line = [900.2, 850, 0, 0]

test('a record is read as it was written', () => {
  const text = encodeRecord(4711, 500, [
    ['shop', line],
    ['shop/report', [12, 40, 1_048_576, 2_097_152.5]],
  ])
  expect(text).toBe('1 4711 500\nshop 900.2 850 0 0\nshop/report 12 40 1048576 2097152.5')
  const record = parseRecord(text)!
  expect(record).toMatchObject({ seq: 4711, everyMs: 500, isCut: false })
  expect([...record.lines]).toEqual([
    ['shop', line],
    ['shop/report', [12, 40, 1_048_576, 2_097_152.5]],
  ])
})

test('a record of nothing is a sign of life', () => {
  expect(parseRecord(encodeRecord(1, 60_000, []))).toEqual({ seq: 1, everyMs: 60_000, isCut: false, lines: new Map() })
})

test('a record has a bound, and says when it has been cut', () => {
  const many = Array.from({ length: 1_000 }, (_, i) => [`tenant-${i}`, line] as const)
  const text = encodeRecord(1, 500, many)
  const record = parseRecord(text)!
  expect(record.isCut).toBe(true)
  expect(record.lines.size).toBeLessThanOrEqual(fleetRecordLinesMax)
  expect(record.lines.has('tenant-0')).toBe(true)
  const long = Array.from({ length: 200 }, (_, i) => [`${'x'.repeat(120)}${i}`, line] as const)
  const bounded = encodeRecord(1, 500, long)
  expect(bounded.length).toBeLessThanOrEqual(fleetRecordBytesMax)
  expect(parseRecord(bounded)!.isCut).toBe(true)
})

test.each([
  [''],
  ['1 1'],
  ['2 1 500'],
  ['1 -1 500'],
  ['1 1 0'],
  ['1 1 999999'],
  ['1 1 500 -'],
  ['1 1 500\nshop 1 2 3'],
  ['1 1 500\nshop 1 2 3 x'],
  ['1 1 500\nshop 1 2 3 -4'],
  ['1 1 500\nshop 1 2 3 Infinity'],
  ['1 1 500\n 1 2 3 4'],
  ['1 1 500\n'],
  [`1 1 500\n${'x'.repeat(fleetRecordBytesMax)} 1 2 3 4`],
])('what no proxy would write is not read: %j', (text) => {
  expect(parseRecord(text)).toBeUndefined()
})
