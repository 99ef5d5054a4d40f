import {
  decode,
  decodeDepthMax,
  elements,
  isReplyError,
  MalformedReply,
  skip,
  skipAttributes,
  stringAt,
} from '../../../src/resp/reply-walk.ts'

const b = (text: string): Buffer => Buffer.from(text, 'latin1')
const whole = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':-12\r\n',
  '$0\r\n\r\n',
  '$5\r\na\r\nbc\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*2\r\n$1\r\na\r\n*1\r\n:1\r\n',
  '_\r\n',
  ',1.5\r\n',
  ',inf\r\n',
  '#t\r\n',
  '!5\r\nERR x\r\n',
  '=7\r\ntxt:abc\r\n',
  '(123456789012345678901234567890\r\n',
  '%1\r\n+a\r\n:1\r\n',
  '%0\r\n',
  '~2\r\n:1\r\n:2\r\n',
  '>2\r\n+message\r\n$1\r\nx\r\n',
  '|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n',
  '*2\r\n|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n:2\r\n',
]

describe('skip', () => {
  test.each(whole)('finds the end of %j, with something behind it', (text) => {
    const buf = b(`${text}+NEXT\r\n`)
    expect(skip(buf, 0, buf.length)).toBe(text.length)
  })

  test.each(whole)('says -1 for every proper beginning of %j', (text) => {
    const buf = b(text)
    for (let end = 0; end < buf.length; end++) expect(skip(buf, 0, end)).toBe(-1)
  })

  test('does not look behind the end it was given', () => {
    const buf = b('$3\r\nabc\r\n')
    expect(skip(buf, 0, 4)).toBe(-1)
    expect(skip(buf, 0, 9)).toBe(9)
  })

  test.each([
    'x\r\n',
    '$a\r\n',
    '$-2\r\n',
    '$01\r\n',
    '*?\r\n',
    '$?\r\n',
    '%-1\r\n',
    '=-1\r\n',
    '$1\r\nabc\r\n',
    '+a\rb\r\n',
    '$\r\n',
  ])('throws on %j, which is no RESP', (text) => {
    const buf = b(text)
    expect(() => skip(buf, 0, buf.length)).toThrow(MalformedReply)
  })

  test('walks a million levels without a stack', () => {
    const buf = Buffer.concat([Buffer.from('*1\r\n'.repeat(1_000_000)), b(':1\r\n')])
    expect(skip(buf, 0, buf.length)).toBe(buf.length)
    expect(skip(buf, 0, buf.length - 1)).toBe(-1)
  })

  test('a count far above what is there is incomplete, not memory', () => {
    const buf = b('*999999999999999\r\n:1\r\n')
    expect(skip(buf, 0, buf.length)).toBe(-1)
  })
})

describe('elements and strings', () => {
  test('positions of an array, a map and behind attributes', () => {
    const array = b('*2\r\n$1\r\na\r\n:1\r\n')
    expect(elements(array, 0, array.length)).toEqual([4, 11])
    const map = b('%1\r\n+a\r\n:1\r\n')
    expect(elements(map, 0, map.length)).toEqual([4, 8])
    const attributed = b('|1\r\n+t\r\n:3\r\n*1\r\n:7\r\n')
    expect(elements(attributed, 0, attributed.length)).toEqual([16])
    expect(skipAttributes(attributed, 0, attributed.length)).toBe(12)
    expect(elements(b(':1\r\n'), 0, 4)).toEqual([])
    expect(elements(b('*-1\r\n'), 0, 5)).toEqual([])
  })

  test('strings of every kind, and undefined for what is none', () => {
    const at = (text: string) => stringAt(b(text), 0, text.length)?.toString()
    expect(at('$3\r\nabc\r\n')).toBe('abc')
    expect(at('+abc\r\n')).toBe('abc')
    expect(at('=7\r\ntxt:abc\r\n')).toBe('abc')
    expect(at('$-1\r\n')).toBeUndefined()
    expect(at(':1\r\n')).toBeUndefined()
    expect(at('$3\r\nab')).toBeUndefined()
  })
})

describe('decode', () => {
  test.each([
    [':12\r\n', 12],
    [':9223372036854775807\r\n', 9223372036854775807n],
    ['(123456789012345678901234567890\r\n', 123456789012345678901234567890n],
    ['#f\r\n', false],
    ['_\r\n', null],
    ['$-1\r\n', null],
    ['*-1\r\n', null],
    [',-inf\r\n', -Infinity],
    [',1e3\r\n', 1000],
    ['=7\r\ntxt:abc\r\n', b('abc')],
    ['*0\r\n', []],
    ['~1\r\n:1\r\n', [1]],
    ['|1\r\n+ttl\r\n:3\r\n:9\r\n', 9],
    ['|0\r\n:9\r\n', 9],
    ['*2\r\n|1\r\n+ttl\r\n*1\r\n:3\r\n:1\r\n:2\r\n', [1, 2]],
    ['*2\r\n*1\r\n:1\r\n*0\r\n', [[1], []]],
  ] as const)('%j', (text, value) => {
    expect(decode(b(text))).toEqual(value)
  })

  test('maps by name and errors as values', () => {
    const reply = decode(b('%2\r\n$1\r\na\r\n-ERR x\r\n+b\r\n%0\r\n'))
    expect(reply).toEqual(
      new Map<string, unknown>([
        ['a', { error: 'ERR x' }],
        ['b', new Map()],
      ]),
    )
    expect(isReplyError(decode(b('!5\r\nERR x\r\n')))).toBe(true)
    expect(isReplyError(decode(b('*0\r\n')))).toBe(false)
  })

  test('refuses what is incomplete, broken or too deep', () => {
    expect(() => decode(b('*2\r\n:1\r\n'))).toThrow(MalformedReply)
    expect(() => decode(b(':1x\r\n'))).toThrow(MalformedReply)
    expect(() => decode(b(',x\r\n'))).toThrow(MalformedReply)
    expect(() => decode(b('#x\r\n'))).toThrow(MalformedReply)
    expect(() => decode(b('%1\r\n*1\r\n:1\r\n:2\r\n'))).toThrow(MalformedReply)
    expect(decode(b(`${'*1\r\n'.repeat(decodeDepthMax)}:1\r\n`))).toBeDefined()
    expect(() => decode(b(`${'*1\r\n'.repeat(decodeDepthMax + 1)}:1\r\n`))).toThrow(MalformedReply)
  })
})
