import {
  broken,
  foreign,
  framed,
  incomplete,
  inline,
  nothing,
  RequestFramer,
} from '../../../src/resp/request-framer.ts'

const names = new Map([
  [framed, 'framed'],
  [incomplete, 'incomplete'],
  [nothing, 'nothing'],
  [inline, 'inline'],
  [broken, 'broken'],
  [foreign, 'foreign'],
])

function run(
  text: string,
  set: (framer: RequestFramer) => void = () => {},
): { outcome: string; framer: RequestFramer } {
  const framer = new RequestFramer()
  set(framer)
  const bytes = Buffer.from(text, 'latin1')
  return { outcome: names.get(framer.frame(bytes, 0, bytes.length))!, framer }
}

function args(text: string, framer: RequestFramer): string[] {
  return Array.from({ length: framer.count }, (_, i) => text.slice(framer.off[i]!, framer.off[i]! + framer.len[i]!))
}

test('a request is framed with the offsets of its arguments', () => {
  const text = '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhe\r\no\r\nrest'
  const { outcome, framer } = run(text)
  expect(outcome).toBe('framed')
  expect(args(text, framer)).toEqual(['SET', 'a', 'he\r\no'])
  expect(text.slice(framer.end)).toBe('rest')
  expect([...framer.head.subarray(0, 3)].map((at) => text[at])).toEqual(['$', '$', '$'])
})

test('more arguments than the table holds make it grow', () => {
  const text = `*1000\r\n${'$1\r\nx\r\n'.repeat(1000)}`
  const { outcome, framer } = run(text)
  expect(outcome).toBe('framed')
  expect(framer.count).toBe(1000)
  expect(framer.end).toBe(text.length)
})

test.each([
  ['*0\r\n', 4],
  ['*-5\r\n', 5],
  ['*-1\r\nx', 5],
  ['\r\n', 2],
  ['\nPING\r\n', 1],
])('%j is no command and is skipped', (text, end) => {
  const { outcome, framer } = run(text)
  expect(outcome).toBe('nothing')
  expect(framer.end).toBe(end)
})

test.each([
  ['*2147483648\r\n', 'MBULK_LENGTH', ''],
  ['*1048577\r\n', 'MBULK_LENGTH', ''],
  ['*abc\r\n', 'MBULK_LENGTH', ''],
  ['*01\r\n', 'MBULK_LENGTH', ''],
  ['*+1\r\n', 'MBULK_LENGTH', ''],
  ['*\r\n', 'MBULK_LENGTH', ''],
  ['*1 \r\n', 'MBULK_LENGTH', ''],
  ['*-0\r\n', 'MBULK_LENGTH', ''],
  ['*1\rx', 'MBULK_LENGTH', ''],
  ['*99999999999999999999\r\n', 'MBULK_LENGTH', ''],
  ['*1\r\n$9999999999\r\n', 'BULK_LENGTH', ''],
  ['*1\r\n$-1\r\n', 'BULK_LENGTH', ''],
  ['*1\r\n$abc\r\n', 'BULK_LENGTH', ''],
  ['*1\r\n$03\r\nGET\r\n', 'BULK_LENGTH', ''],
  ['*1\r\n*1\r\n', 'EXPECTED_BULK', '*'],
  ['*1\r\n:1\r\n', 'EXPECTED_BULK', ':'],
  ['*1\r\n\r\n', 'EXPECTED_BULK', '?'],
  ['*1\r\n$3\r\nGETxx', 'EXPECTED_CRLF', ''],
  ['*1\r\n$3\r\nGET\rx', 'EXPECTED_CRLF', ''],
  ['*1\r\n$3\r\nGETT\r\n', 'EXPECTED_CRLF', ''],
])('%j is a protocol error: %s', (text, error, detail) => {
  const { outcome, framer } = run(text)
  expect([outcome, framer.error, framer.errorDetail]).toEqual(['broken', error, detail])
})

test('64 KiB without a newline is an error of its own for each kind of line', () => {
  const long = 'x'.repeat(65 * 1024)
  expect(run(long).framer.error).toBe('BIG_INLINE')
  expect(run(`*${'1'.repeat(65 * 1024)}`).framer.error).toBe('BIG_MBULK_COUNT')
  expect(run(`*1\r\n$${'1'.repeat(65 * 1024)}`).framer.error).toBe('BIG_BULK_COUNT')
})

test('before AUTH ten arguments of 16,384 bytes are the most', () => {
  const strict = (framer: RequestFramer): void => {
    framer.isUnauthenticated = true
  }
  expect(run(`*10\r\n${'$1\r\nx\r\n'.repeat(10)}`, strict).outcome).toBe('framed')
  expect(run('*11\r\n', strict).framer.error).toBe('UNAUTH_MBULK')
  expect(run(`*1\r\n$16384\r\n`, strict).outcome).toBe('incomplete')
  expect(run(`*1\r\n$16385\r\n`, strict).framer.error).toBe('UNAUTH_BULK')
})

test('a request above the bound is refused as soon as its headers say so', () => {
  const small = (framer: RequestFramer): void => {
    framer.maxRequestBytes = 100
  }
  expect(run('*2\r\n$101\r\n', small).framer.error).toBe('BULK_LENGTH')
  expect(run(`*2\r\n$60\r\n${'x'.repeat(60)}\r\n$60\r\n`, small).framer.error).toBe('TOO_BIG_REQUEST')
})

test.each(['POST / HTTP/1.1\r\n', 'Host: x\r\n', 'post\r\n', '\x16\x03\x01\x02\x00'])(
  '%j belongs to another protocol',
  (text) => {
    expect(run(text).outcome).toBe('foreign')
  },
)

test.each(['POSTER x\r\n', 'HOSTS\r\n', 'GET a\r\n'])('%j is an inline command', (text) => {
  expect(run(text).outcome).toBe('inline')
})

test('an inline line comes without its newline, with or without the carriage return', () => {
  for (const text of ['PING x\r\nrest', 'PING x\nrest']) {
    const { outcome, framer } = run(text)
    expect(outcome).toBe('inline')
    expect(text.slice(framer.off[0]!, framer.off[0]! + framer.len[0]!)).toBe('PING x')
    expect(text.slice(framer.end)).toBe('rest')
  }
})

test('an unfinished request says how many bytes another try needs, and never more than the request has', () => {
  const text = '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10\r\n0123456789\r\n'
  for (let cut = 0; cut < text.length; cut++) {
    const framer = new RequestFramer()
    const bytes = Buffer.from(text)
    expect(framer.frame(bytes, 0, cut === 0 ? 1 : cut)).toBe(incomplete)
    expect(framer.need).toBeGreaterThan(cut === 0 ? 1 : cut)
    expect(framer.need).toBeLessThanOrEqual(text.length)
  }
})

test('bytes beyond the end are not looked at', () => {
  const framer = new RequestFramer()
  const bytes = Buffer.from('*1\r\n$4\r\nPING\r\n')
  expect(framer.frame(bytes, 0, bytes.length - 1)).toBe(incomplete)
  expect(framer.frame(bytes, 0, bytes.length)).toBe(framed)
})
