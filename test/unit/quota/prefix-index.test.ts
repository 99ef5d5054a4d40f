import { PrefixIndex } from '../../../src/quota/prefix-index.ts'

const buffers = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text))
const find = (index: PrefixIndex, name: string): number => index.find(Buffer.from(name))

describe('whose key it is', () => {
  test('is told by the longest prefix that its name begins with', () => {
    const index = new PrefixIndex(buffers('a', 'a:', 'a:b:', 'b:', 'shop:'))
    expect(['a:b:k', 'a:bk', 'a:k', 'ak', 'b:', 'b', 'shop:1', 'shop', ''].map((name) => find(index, name))).toEqual([
      2, 1, 1, 0, 3, -1, 4, -1, -1,
    ])
  })

  test('an empty prefix owns nothing, and of two that are alike the first owns', () => {
    expect(find(new PrefixIndex(buffers('', 'x:', 'x:')), 'x:1')).toBe(1)
    expect(find(new PrefixIndex(buffers('')), 'x')).toBe(-1)
    expect(find(new PrefixIndex([]), 'x')).toBe(-1)
  })

  test('a part of a buffer is a name too', () => {
    const index = new PrefixIndex(buffers('x:'))
    expect(index.find(Buffer.from('..x:1'), 2, 5)).toBe(0)
    expect(index.find(Buffer.from('..x:1'), 2, 3)).toBe(-1)
  })

  test('100,000 prefixes are each found, and a lookup reads no more of a name than the longest of them', () => {
    const prefixes = Array.from({ length: 100_000 }, (_, i) => `tenant-${i}:`)
    const index = new PrefixIndex(buffers(...prefixes))
    for (let i = 0; i < prefixes.length; i += 7) expect(find(index, `${prefixes[i]}key`)).toBe(i)
    const name = new Proxy(Buffer.from(`nobody-${'x'.repeat(1000)}`), {
      get: (target, key) => {
        if (typeof key === 'string' && Number(key) >= 14) throw new Error(`read ${key}`)
        const value: unknown = Reflect.get(target, key)
        return value
      },
    })
    expect(index.find(name, 0, 1000)).toBe(-1)
  })
})
