import {
  formatDuration,
  formatRate,
  formatSize,
  Problem,
  parseAddress,
  parseByteRate,
  parseDuration,
  parseInteger,
  parseNodeUrl,
  parseRate,
  parseSize,
  parseTenantLabel,
} from '../../../src/config/values.ts'

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['2s', 2_000],
    ['1.5s', 1_500],
    ['1m', 60_000],
    ['1h', 3_600_000],
    ['0', 0],
    ['0s', 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms))

  test.each(['', '5', '5 s', '-1s', '1d', '1e3ms', 's', '1s2ms', ' 1s', '9000000h'])('%p is none', (text) =>
    expect(parseDuration(text)).toBeInstanceOf(Problem),
  )
  test('a number without a unit is told to get one', () => {
    expect((parseDuration('500') as Problem).text).toBe('a duration needs a unit: ms, s, m or h')
  })
})

describe('sizes', () => {
  test.each([
    ['512B', 512],
    ['64KiB', 65_536],
    ['50MiB', 52_428_800],
    ['1GB', 1_000_000_000],
    ['0.5KiB', 512],
    ['0', 0],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes))
  test.each(['64', '64kib', '64K', '1PiB', '99999999TiB', ''])('%p is none', (text) =>
    expect(parseSize(text)).toBeInstanceOf(Problem),
  )
})

describe('rates', () => {
  test.each([
    ['20000/s', 20_000, 1_000],
    ['10/m', 10, 60_000],
    ['5/h', 5, 3_600_000],
  ])('%s', (text, count, perMs) => expect(parseRate(text)).toEqual({ count, perMs }))
  test('0 is none at all', () => expect(parseRate('0')).toMatchObject({ count: 0 }))
  test.each(['10', '10/d', '/s', '1.5/s', '10/ms'])('%p is none', (text) =>
    expect(parseRate(text)).toBeInstanceOf(Problem),
  )
  test('bytes', () => {
    expect(parseByteRate('50MiB/s')).toEqual({ count: 52_428_800, perMs: 1_000 })
    expect(parseByteRate('50/s')).toBeInstanceOf(Problem)
    expect(parseByteRate('50MiB')).toBeInstanceOf(Problem)
  })
})

describe('addresses', () => {
  test.each([
    ['0.0.0.0:6380', '0.0.0.0', 6380],
    [':6380', '0.0.0.0', 6380],
    ['[::1]:6380', '::1', 6380],
    ['redis.internal:1', 'redis.internal', 1],
    ['127.0.0.1:0', '127.0.0.1', 0],
  ])('%s', (text, host, port) => expect(parseAddress(text)).toEqual({ host, port }))
  test.each(['6380', 'host', '::1:6380', 'host:99999', 'host:port', 'a b:1', 'redis://h:1'])('%p is none', (text) =>
    expect(parseAddress(text)).toBeInstanceOf(Problem),
  )
})

describe('node URLs', () => {
  test.each([
    ['redis://eu-1:6379', { host: 'eu-1', port: 6379, tls: false }],
    ['rediss://eu-1', { host: 'eu-1', port: 6379, tls: true }],
    ['redis://[::1]:7000/', { host: '::1', port: 7000, tls: false }],
    ['redis://u:p@h:1', { host: 'h', port: 1, tls: false, username: 'u', password: 'p' }],
    ['redis://:p@h:1', { host: 'h', port: 1, tls: false, username: 'default', password: 'p' }],
    ['redis://u@h:1/0', { host: 'h', port: 1, tls: false, username: 'u' }],
    ['redis://u:a%40b@h:1', { host: 'h', port: 1, tls: false, username: 'u', password: 'a@b' }],
    ['redis://u:a@b/c#d?e%@h:1', { host: 'h', port: 1, tls: false, username: 'u', password: 'a@b/c#d?e%' }],
  ])('%s', (text, node) => expect(parseNodeUrl(text)).toEqual(node))
  test.each([
    'eu-1:6379',
    'http://eu-1',
    'redis://',
    'redis://h:0',
    'redis://h:70000',
    'redis://h:1/3',
    'redis://h:1?x=1',
  ])('%p is none', (text) => expect(parseNodeUrl(text)).toBeInstanceOf(Problem))
})

test('whole numbers in bounds, nothing else', () => {
  expect(parseInteger('7', 1, 9)).toBe(7)
  for (const text of ['0', '10', '-1', '1.5', '1e0', '', '0x1'])
    expect(parseInteger(text, 1, 9)).toBeInstanceOf(Problem)
})

test('tenant labels', () => {
  expect([parseTenantLabel('all'), parseTenantLabel('none'), parseTenantLabel('top:50')]).toEqual([
    'all',
    'none',
    { top: 50 },
  ])
  for (const text of ['top', 'top:0', 'top:x', '50']) expect(parseTenantLabel(text)).toBeInstanceOf(Problem)
})

test('what is formatted is read back as the same', () => {
  for (const ms of [0, 1, 250, 1_000, 90_000, 3_600_000]) expect(parseDuration(formatDuration(ms))).toBe(ms)
  for (const bytes of [0, 1, 1_000, 1_024, 134_217_728, 2 ** 40]) expect(parseSize(formatSize(bytes))).toBe(bytes)
  for (const rate of [
    { count: 10, perMs: 60_000 },
    { count: 7, perMs: 1_000 },
  ])
    expect(parseRate(formatRate(rate))).toEqual(rate)
})
