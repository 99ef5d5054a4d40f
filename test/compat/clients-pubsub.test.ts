/** Pub/sub of ioredis and node-redis, straight to Redis and through Regis: the same messages, the same errors. */
import type { Redis } from 'ioredis'
import { expectTheSame, type NodeRedis, onOneSide, type Side } from './clients.ts'
import { settle } from './library.ts'
import { prefix, type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
  await stage.redis.call('CONFIG', 'SET', 'notify-keyspace-events', 'KEA')
})

const withoutMarks = (channels: readonly string[]) => channels.filter((name) => !name.startsWith('regis:')).sort()

/** Everything an ioredis subscriber hears, in order. `until` resolves when so many messages have come. */
function hear(client: Redis): { readonly heard: unknown[]; until(count: number): Promise<unknown[]> } {
  const heard: unknown[] = []
  let wake = () => {}
  const note = (...what: unknown[]) => {
    heard.push(what)
    wake()
  }
  client.on('message', (channel: string, message: string) => note('message', channel, message))
  client.on('pmessage', (...what: unknown[]) => note('pmessage', ...what))
  client.on('smessage', (...what: unknown[]) => note('smessage', ...what))
  return {
    heard,
    async until(count) {
      while (heard.length < count) {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(() => reject(new Error(`heard ${JSON.stringify(heard)}`)), 5000)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      return heard
    },
  }
}

const ioredisCases: Readonly<Record<string, (open: () => Promise<Redis>, side: Side) => Promise<unknown>>> = {
  'channels, and what is not subscribed': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    const { heard, until } = hear(subscriber)
    const counts = [await subscriber.subscribe('news', 'sport'), await subscriber.subscribe('news')]
    const received = [
      await publisher.publish('news', 'one'),
      await publisher.publish('sport', ''),
      await publisher.publish('other', 'nobody'),
      await publisher.publish('news', 'ü\r\n'),
    ]
    await until(3)
    return [counts, received, heard, await subscriber.unsubscribe('sport'), await publisher.publish('sport', 'x')]
  },
  patterns: async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    const { until } = hear(subscriber)
    const counts = [
      await subscriber.psubscribe('n?ws', 'news.*', '[ab]c', 'q\\*', 'n*'),
      await subscriber.subscribe('news'),
    ]
    const received: number[] = []
    for (const channel of ['news', 'news.sport', 'ac', 'bc', 'cc', 'q*', 'qx', '', 'nws']) {
      received.push(await publisher.publish(channel, `to ${channel}`))
    }
    const heard = await until(received.reduce((total, count) => total + count, 0))
    return [
      counts,
      received,
      heard.map(String).sort(),
      await subscriber.punsubscribe('n*'),
      await subscriber.punsubscribe('n?ws', '[ab]c'),
    ]
  },
  'sharded channels': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    const { until } = hear(subscriber)
    const counts = [await subscriber.ssubscribe('news'), await subscriber.subscribe('news')]
    const received = [await publisher.spublish('news', 'sharded'), await publisher.publish('news', 'plain')]
    return [counts, received, (await until(2)).map(String).sort(), await subscriber.sunsubscribe('news')]
  },
  'what PUBSUB knows': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    await subscriber.subscribe('news', 'sport', 'news.now')
    await subscriber.psubscribe('a*', 'b*')
    await subscriber.ssubscribe('shard')
    // Asked straight, the server also names the channel of the proxy that stands beside it.
    const sorted = async (promise: Promise<unknown>) => withoutMarks((await promise) as string[])
    return [
      await sorted(publisher.pubsub('CHANNELS')),
      await sorted(publisher.pubsub('CHANNELS', 'news*')),
      await sorted(publisher.pubsub('CHANNELS', 'n*w')),
      await publisher.pubsub('NUMSUB', 'news', 'none'),
      await publisher.pubsub('NUMSUB'),
      await publisher.pubsub('NUMPAT'),
      await publisher.pubsub('SHARDCHANNELS'),
      await publisher.pubsub('SHARDNUMSUB', 'shard', 'none'),
      await settle(publisher.pubsub('NOPE' as 'CHANNELS')),
    ]
  },
  'two subscribers, one that leaves': async (open) => {
    const [first, second, publisher] = [await open(), await open(), await open()]
    await Promise.all([first.subscribe('ch'), second.subscribe('ch')])
    const [one, two] = [hear(first), hear(second)]
    const received = [await publisher.publish('ch', 'both')]
    await Promise.all([one.until(1), two.until(1)])
    await second.unsubscribe()
    received.push(await publisher.publish('ch', 'first'))
    return [received, await one.until(2), two.heard]
  },
  'a subscriber that goes back to ordinary commands': async (open) => {
    const client = await open()
    await client.subscribe('ch')
    const counts = [await client.unsubscribe('ch')]
    return [counts, await client.set('k', 'v'), await client.get('k'), await client.unsubscribe('ch')]
  },
  'PUBLISH in a transaction and in a pipeline, in order': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    const { until } = hear(subscriber)
    await subscriber.subscribe('ch')
    const exec = await publisher.multi().publish('ch', 'a').set('k', 'v').publish('ch', 'b').exec()
    const pipeline = publisher.pipeline()
    for (let i = 0; i < 200; i++) pipeline.publish('ch', String(i))
    return [exec, await pipeline.exec(), await until(202)]
  },
  'binary and great messages': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    const seen: Buffer[][] = []
    const done = new Promise<void>((resolve) => {
      subscriber.on('messageBuffer', (...what: Buffer[]) => {
        seen.push(what)
        if (seen.length === 3) resolve()
      })
    })
    const bytes = Buffer.from('\0\r\n\xff$5\r\n', 'latin1')
    await subscriber.subscribe(bytes, 'big')
    const received = [
      await publisher.publish(bytes, bytes),
      await publisher.publish('big', Buffer.alloc(1024 * 1024, 'x')),
      await publisher.publish(bytes, ''),
    ]
    await done
    return [received, seen.map(([channel, message]) => [channel!.toString('hex'), message!.length])]
  },
}

describe.each([
  ['as it comes (RESP3)', {}],
  ['protocol 2', { protocol: 2 }],
  ['a key prefix of its own', { keyPrefix: 'app:' }],
] as const)('ioredis, %s', (_, options) => {
  test.each(Object.entries(ioredisCases))('%s', async (_name, run) => {
    await expectTheSame(stage, (side) => run(() => side.ioredis(options), side))
  })
})

// Under a key prefix of its own the library prefixes these channels too, and then no event comes, wherever.
test.each([
  ['as it comes (RESP3)', {}],
  ['protocol 2', { protocol: 2 }],
] as const)('ioredis, %s: keyspace events', async (_, options) => {
  await expectTheSame(stage, async (side) => {
    const [subscriber, client] = [await side.ioredis(options), await side.ioredis(options)]
    const { until } = hear(subscriber)
    await subscriber.subscribe('__keyspace@0__:k', '__keyevent@0__:del')
    await subscriber.psubscribe('__keyspace@0__:other*')
    await client.set('k', 'v')
    await client.lpush('other:l', 1)
    await client.del('k', 'none', 'other:l')
    return [await until(6)]
  })
})

test('in RESP2 a subscriber may do little else, in RESP3 anything: the words are Redis’s', async () => {
  for (const resp of [2, 3] as const) {
    await expectTheSame(stage, async (side) => {
      const client = await side.raw(resp)
      const seen = [await client.callRaw('SUBSCRIBE', 'a', 'b')]
      seen.push(await client.readRaw())
      for (const argv of [
        ['PING'],
        ['PING', 'x'],
        ['GET', 'k'],
        ['NOPE'],
        ['GET'],
        ['MULTI'],
        ['EXEC'],
        ['PSUBSCRIBE', '?'], // straight, `*` hears the proxy's watermarks too
        ['SSUBSCRIBE', 's'],
        ['PUNSUBSCRIBE', 'none'],
        ['UNSUBSCRIBE', 'a'],
        ['SUBSCRIBE'],
        ['RESET'],
        ['PING'],
        ['UNSUBSCRIBE'],
        ['PUNSUBSCRIBE'],
        ['SUNSUBSCRIBE'],
      ]) {
        seen.push(await client.callRaw(...argv))
        if (argv[0] === 'RESET') await client.call('AUTH', 'shop-app', 'demo')
        // What is pushed beside a reply: RESP3 only.
        if (resp === 3 && argv[0] === 'EXEC') seen.push(client.unread)
      }
      return seen
    })
  }
})

const nodeRedisCases: Readonly<Record<string, (open: () => Promise<NodeRedis>) => Promise<unknown>>> = {
  'channels, patterns, sharded channels': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    const heard: string[] = []
    const note = (kind: string) => (message: string, channel: string) => {
      heard.push(`${kind} ${channel} ${message}`)
    }
    await subscriber.subscribe(['news', 'sport'], note('first'))
    await subscriber.subscribe('news', note('second'))
    await subscriber.pSubscribe('n*', note('pattern'))
    await subscriber.sSubscribe('shard', note('sharded'))
    const received = [
      await publisher.publish('news', 'one'),
      await publisher.publish('none', 'pattern only'),
      await publisher.sPublish('shard', 'two'),
      await publisher.publish('other', 'nobody'),
    ]
    await subscriber.unsubscribe('news')
    await subscriber.pUnsubscribe()
    received.push(await publisher.publish('news', 'x'), await publisher.publish('sport', 'y'))
    await subscriber.unsubscribe()
    await subscriber.sUnsubscribe()
    return [received, heard.sort(), await subscriber.get('none')]
  },
  'what PUBSUB knows': async (open) => {
    const [subscriber, publisher] = [await open(), await open()]
    await subscriber.subscribe(['news', 'sport'], () => {})
    await subscriber.pSubscribe('n*', () => {})
    return [
      withoutMarks(await publisher.pubSubChannels()),
      await publisher.pubSubChannels('n*'),
      await publisher.pubSubNumSub(['news', 'none']),
      await publisher.pubSubNumPat(),
      await publisher.pubSubShardChannels(),
    ]
  },
}

describe.each([
  ['RESP 2', { RESP: 2 }],
  ['RESP 3', { RESP: 3 }],
] as const)('node-redis, %s', (_, options) => {
  test.each(Object.entries(nodeRedisCases))('%s', async (_name, run) => {
    await expectTheSame(stage, (side) => run(() => side.nodeRedis(options)))
  })
})

test('a message of another tenant is not heard, not even by *, and is not counted', async () => {
  const seen = await onOneSide(stage, true, async (side) => {
    const subscriber = await side.ioredis()
    const { heard, until } = hear(subscriber)
    await subscriber.psubscribe('*', '*shop*')
    const other = await stage.proxy.client('analytics-app')
    const numbers = [await other.call('PUBLISH', 'ch', 'theirs'), await other.call('PUBLISH', `${prefix}ch`, 'theirs')]
    numbers.push(Number(await stage.redis.call('PUBLISH', 'ch', 'nobody’s')))
    const own = await side.ioredis()
    await own.publish('ch', 'ours')
    await until(1)
    return [numbers, heard, [await other.call('PUBSUB', 'CHANNELS'), await other.call('PUBSUB', 'NUMPAT')]]
  })
  expect(seen).toEqual([[0, 0, 0], [['pmessage', '*', 'ch', 'ours']], [[], 0]])
})
