import { framed, RequestFramer } from '../../../src/resp/request-framer.ts'
import { hasPrefix, rewriteLarge, Splicer } from '../../../src/tenant/rewrite.ts'

const request = (...args: string[]): string =>
  `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`

/** Splices several requests, as one run, into an arena. */
function rewrite(requests: readonly { text: string; keys: number[] }[], prefix: string, isSame: boolean): string {
  const arena = Buffer.alloc(8192)
  const text = requests.map((it) => it.text).join('')
  const source = isSame ? arena : Buffer.from(text)
  const start = isSame ? 4096 : 0
  if (isSame) arena.write(text, start)
  const frame = new RequestFramer()
  const splicer = new Splicer()
  splicer.from = start
  let pos = start
  let at = 0
  for (const { keys } of requests) {
    expect(frame.frame(source, pos, start + text.length)).toBe(framed)
    at = splicer.splice(
      source,
      isSame,
      frame,
      { count: keys.length, arg: Int32Array.from(keys) },
      Buffer.from(prefix),
      arena,
      at,
    )
    pos = frame.end
  }
  at = splicer.copy(source, isSame, pos, arena, at)
  return arena.toString('utf8', 0, at)
}

describe.each([true, false])('with source and arena %s one buffer', (isSame) => {
  test('every key gets the prefix and its new length, and nothing else changes', () => {
    expect(rewrite([{ text: request('MSET', 'a', '1', 'b', '2'), keys: [1, 3] }], 'shop:', isSame)).toBe(
      request('MSET', 'shop:a', '1', 'shop:b', '2'),
    )
  })

  test.each([0, 4, 5, 94, 95, 99, 994, 995, 4000])('a key of %i bytes has the right length behind it', (size) => {
    if (isSame && size > 3000) return
    const key = 'k'.repeat(size)
    expect(rewrite([{ text: request('GET', key), keys: [1] }], 'shop:', isSame)).toBe(request('GET', `shop:${key}`))
  })

  test('requests without keys travel with their neighbours', () => {
    const out = rewrite(
      [
        { text: request('TIME'), keys: [] },
        { text: request('GET', 'a'), keys: [1] },
        { text: request('TIME'), keys: [] },
        { text: request('DEL', 'a', 'b'), keys: [1, 2] },
      ],
      'x:',
      isSame,
    )
    expect(out).toBe(request('TIME') + request('GET', 'x:a') + request('TIME') + request('DEL', 'x:a', 'x:b'))
  })
})

test('a large request is rewritten in parts that share its bytes', () => {
  const source = Buffer.from(request('SET', 'a', 'v'.repeat(1000)))
  const frame = new RequestFramer()
  frame.frame(source, 0, source.length)
  const parts = rewriteLarge(source, 0, frame, { count: 1, arg: Int32Array.of(1) }, Buffer.from('shop:'))
  expect(Buffer.concat(parts).toString()).toBe(request('SET', 'shop:a', 'v'.repeat(1000)))
  expect(parts.at(-1)!.buffer).toBe(source.buffer)
})

test('a key without the prefix is told from one with it', () => {
  const source = Buffer.from(request('GET', 'shop:a'))
  const frame = new RequestFramer()
  frame.frame(source, 0, source.length)
  expect(hasPrefix(source, frame, 1, Buffer.from('shop:'))).toBe(true)
  expect(hasPrefix(source, frame, 1, Buffer.from('shop2'))).toBe(false)
  expect(hasPrefix(source, frame, 0, Buffer.from('shop:'))).toBe(false)
})
