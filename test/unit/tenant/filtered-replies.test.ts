import { FilteredReplies, filteredRepliesMax } from '../../../src/tenant/filtered-replies.ts'

const column = (): Uint8Array => new Uint8Array(4)

test('a reply that comes again is not filtered again', () => {
  const cache = new FilteredReplies()
  const route = column()
  let runs = 0
  const filter = (raw: Buffer): Buffer => {
    runs++
    return Buffer.from(raw.toString().toUpperCase())
  }
  for (let i = 0; i < 5; i++) expect(cache.get(route, 1, Buffer.from('docs'), filter)?.toString()).toBe('DOCS')
  expect(runs).toBe(1)
})

test('another user, another kind or another reply gets its own', () => {
  const cache = new FilteredReplies()
  const [one, two] = [column(), column()]
  const as = (text: string) => (): Buffer => Buffer.from(text)
  expect(cache.get(one, 1, Buffer.from('a'), as('for one'))?.toString()).toBe('for one')
  expect(cache.get(two, 1, Buffer.from('a'), as('for two'))?.toString()).toBe('for two')
  expect(cache.get(one, 2, Buffer.from('a'), as('other kind'))?.toString()).toBe('other kind')
  expect(cache.get(one, 1, Buffer.from('b'), as('other reply'))?.toString()).toBe('other reply')
  expect(cache.get(one, 1, Buffer.from('a'), as('not asked'))?.toString()).toBe('for one')
})

test('it holds a few replies and no more', () => {
  const cache = new FilteredReplies()
  const columns = Array.from({ length: filteredRepliesMax + 1 }, column)
  for (const route of columns) cache.get(route, 1, Buffer.from('a'), () => Buffer.from('x'))
  expect(cache.get(columns[0]!, 1, Buffer.from('a'), () => Buffer.from('anew'))?.toString()).toBe('anew')
  expect(cache.get(columns.at(-1)!, 1, Buffer.from('a'), () => Buffer.from('anew'))?.toString()).toBe('x')
})

test('a reply that failed its check is not kept', () => {
  const cache = new FilteredReplies()
  const route = column()
  expect(cache.get(route, 1, Buffer.from('a'), () => undefined)).toBeUndefined()
  expect(cache.get(route, 1, Buffer.from('a'), () => Buffer.from('x'))?.toString()).toBe('x')
})
