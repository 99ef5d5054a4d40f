import {
  escapeGlob,
  type Incoming,
  PrefixIndex,
  scopeOf,
  topicsOfChannel,
  topicsOfPattern,
  topicsOfShard,
} from '../../../src/tenant/channels.ts'

const keys = (topics: readonly { feed: string; key: string }[]): string[] => topics.map((it) => `${it.feed} ${it.key}`)

test.each([
  ['news', ['near cshop:news']],
  ['', ['near cshop:']],
  ['__keyspace@0__:k', ['near cshop:__keyspace@0__:k', 'near c__keyspace@0__:shop:k']],
  ['__keyspace@1__:k', ['near cshop:__keyspace@1__:k']],
  ['__keyevent@0__:del', ['near cshop:__keyevent@0__:del', 'near c__keyevent@0__:del']],
  ['__keyevent@0__:expired', ['near cshop:__keyevent@0__:expired', 'primary c__keyevent@0__:expired']],
  ['__redis__:invalidate', []],
])('the channel %s is heard on %j', (channel, topics) => {
  expect(keys(topicsOfChannel('shop:', channel))).toEqual(topics)
})

test('a shard channel is a name like any other', () => {
  expect(keys(topicsOfShard('shop:', '__keyspace@0__:k'))).toEqual(['near sshop:__keyspace@0__:k'])
})

const keyspace = 'near p__keyspace@0__:shop:*'
const keyevents = ['near p__keyevent@0__:*', 'primary c__keyevent@0__:expired', 'primary c__keyevent@0__:evicted']
test.each([
  ['n*', []],
  ['news', []],
  ['__keyspace', []],
  ['*', [keyspace, ...keyevents]],
  ['?ews', [keyspace, ...keyevents]],
  ['[_n]*', [keyspace, ...keyevents]],
  ['\\_*', [keyspace, ...keyevents]],
  ['__key*', [keyspace, ...keyevents]],
  ['__keyspace@*', [keyspace]],
  ['__keyspace@0__:user:*', [keyspace]],
  ['__keyspace@0__:k', [keyspace]],
  ['__keyevent@0__:*', keyevents],
  ['__keyevent@*__:del', ['near c__keyevent@0__:del']],
  ['__keyevent@0__:expired', ['primary c__keyevent@0__:expired']],
  ['__keyevent@?__:evicted', ['primary c__keyevent@0__:evicted']],
])('the pattern %s asks for all of the tenant, and besides for %j', (pattern, more) => {
  expect(keys(topicsOfPattern('shop:', pattern))).toEqual(['near pshop:*', ...more])
})

test('a prefix with glob signs would be taken as it is', () => {
  expect(escapeGlob('a*[b]?\\^-:')).toBe('a\\*\\[b\\]\\?\\\\\\^\\-:')
})

describe('whose a message is', () => {
  const tenants = new PrefixIndex<string>()
  for (const name of ['shop', 'shop2', 'a']) tenants.set(`${name}:`, name)
  const scope = (kind: Incoming['kind'], channel: string, payload: string, pattern?: string): unknown => {
    const it = scopeOf(
      { kind, channel, payload: Buffer.from(payload), ...(pattern === undefined ? {} : { pattern }) },
      tenants,
    )
    return it === undefined ? undefined : [it.tenant, it.channel, it.payload.toString(), it.to]
  }

  test.each<[Incoming['kind'], string, string, string | undefined, unknown]>([
    ['message', 'shop:news', 'x', undefined, ['shop', 'news', 'x', 'channel']],
    ['message', 'shop2:news', 'shop:x', undefined, ['shop2', 'news', 'shop:x', 'channel']],
    ['message', 'shop:shop2:news', 'x', undefined, ['shop', 'shop2:news', 'x', 'channel']],
    ['smessage', 'shop:news', 'x', undefined, ['shop', 'news', 'x', 'shard']],
    ['pmessage', 'a:n', 'x', 'a:*', ['a', 'n', 'x', 'patterns']],
    ['message', 'news', 'x', undefined, undefined],
    ['message', 'other:news', 'x', undefined, undefined],
    ['message', 'shop', 'x', undefined, undefined],
    ['message', '__keyspace@0__:shop:k', 'set', undefined, ['shop', '__keyspace@0__:k', 'set', 'channel']],
    ['pmessage', '__keyspace@0__:a:k', 'set', '__keyspace@0__:a:*', ['a', '__keyspace@0__:k', 'set', 'patterns']],
    ['message', '__keyspace@0__:other:k', 'set', undefined, undefined],
    ['message', '__keyspace@1__:shop:k', 'set', undefined, undefined],
    ['message', '__keyevent@0__:del', 'shop:k', undefined, ['shop', '__keyevent@0__:del', 'k', 'event']],
    ['message', '__keyevent@0__:del', 'other:k', undefined, undefined],
    ['message', '__keyevent@0__:expired', 'a:k', undefined, ['a', '__keyevent@0__:expired', 'k', 'primaryEvent']],
    ['pmessage', '__keyevent@0__:set', 'a:k', '__keyevent@0__:*', ['a', '__keyevent@0__:set', 'k', 'otherEvents']],
    // Comes by its channel already.
    ['pmessage', '__keyevent@0__:expired', 'a:k', '__keyevent@0__:*', undefined],
  ])('%s on %s with %s', (kind, channel, payload, pattern, expected) => {
    expect(scope(kind, channel, payload, pattern)).toEqual(expected)
  })

  test('a tenant that nobody of is subscribed hears nothing', () => {
    tenants.delete('a:')
    expect(scope('message', 'a:n', 'x')).toBeUndefined()
  })
})
