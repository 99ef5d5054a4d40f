/**
 * Subscriptions through Regis against the same straight to Redis: the same steps by the same clients, byte for byte.
 * A tenant `shop` on one side, a server of its own on the other.
 */
import type { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

let straight: number
let through: StartedProxy

beforeAll(async () => {
  const [alone, behind] = [await startRedis(), await startRedis()]
  straight = alone.port
  through = await startProxy({
    region: 'here',
    primary: 'here',
    regions: { here: { nodes: [behind.url] } },
    tenants: { shop: { users: { default: { nopass: true } } } },
  })
})

type Step = readonly string[]

/**
 * What the first client was sent after each step. A step that begins with `@` is another client's, of which the reply
 * is waited for and not compared: the number of receivers is, in a test of its own.
 */
async function run(
  client: RawClient,
  other: RawClient,
  steps: readonly Step[],
  told: string[] = [],
): Promise<string[]> {
  const seen: string[] = []
  for (const [i, step] of steps.entries()) {
    if (step[0] === '@') await other.call(...step.slice(1))
    else client.send(command(...step))
    // On a busy machine the second side is given the time to say as much as the first has said.
    const expected = (told[i]?.length ?? 0) - `${step.join(' ')} => `.length
    await waitFor(async () => client.unread.length >= expected, 5_000).catch(() => undefined)
    // And what should not come.
    await new Promise((resolve) => setTimeout(resolve, 40))
    let text = ''
    while (client.unread !== '') text += await client.readRaw()
    seen.push(`${step.join(' ')} => ${text}`)
  }
  return seen
}

async function compare(resp: 2 | 3, steps: readonly Step[]): Promise<void> {
  const seen: string[][] = []
  for (const port of [straight, through.port]) {
    const [client, other] = [await rawClient(port), await rawClient(port)]
    await client.call('HELLO', resp)
    seen.push(await run(client, other, steps, seen[0]))
    client.close()
    await waitFor(async () => (await other.callRaw('PUBSUB', 'CHANNELS')) === '*0\r\n')
    await waitFor(async () => (await other.callRaw('PUBSUB', 'NUMPAT')) === ':0\r\n')
    other.close()
  }
  expect(seen[1]).toEqual(seen[0])
}

const cases: readonly (readonly [string, readonly Step[]])[] = [
  [
    'channels are counted, named twice, unsubscribed by name and without',
    [
      ['SUBSCRIBE', 'a', 'b', 'a'],
      ['@', 'PUBLISH', 'a', 'one'],
      ['@', 'PUBLISH', 'c', 'nobody'],
      ['UNSUBSCRIBE', 'zz', 'a'],
      ['@', 'PUBLISH', 'a', 'two'],
      ['UNSUBSCRIBE'],
      ['UNSUBSCRIBE'],
      ['GET', 'x'],
    ],
  ],
  [
    'patterns, channels and shard channels are counted as Redis counts them',
    [
      ['PSUBSCRIBE', 'n?ws', 'x*'], // the order of several matches is that of a hash table
      ['SUBSCRIBE', 'news'],
      ['SSUBSCRIBE', 'news'],
      ['@', 'PUBLISH', 'news', 'x'],
      ['@', 'SPUBLISH', 'news', 'y'],
      ['SUNSUBSCRIBE'],
      ['SUNSUBSCRIBE'],
      ['PUNSUBSCRIBE', 'n?ws'],
      ['PUNSUBSCRIBE', 'never'],
      ['PUNSUBSCRIBE'],
      ['UNSUBSCRIBE'],
      ['PUNSUBSCRIBE'],
    ],
  ],
  [
    'what a connection with subscriptions may do',
    [
      ['SUBSCRIBE', 'a'],
      ['GET', 'x'],
      ['CONFIG', 'GET', 'save'],
      ['NOPE', 'x'],
      ['GET'],
      ['PING'],
      ['PING', 'hi'],
      ['PING', 'a', 'b'],
      ['SUBSCRIBE'],
      ['PSUBSCRIBE'],
      ['ECHO', 'x'],
      ['SELECT', '0'],
      ['CLIENT', 'REPLY', 'ON'],
      ['RESET'],
      ['PING'],
      ['@', 'PUBLISH', 'a', 'm'],
      ['GET', 'x'],
    ],
  ],
  [
    'CLIENT REPLY OFF silences replies, but not messages and confirmations',
    [
      ['CLIENT', 'REPLY', 'OFF'],
      ['SUBSCRIBE', 'a'],
      ['@', 'PUBLISH', 'a', 'm'],
      ['UNSUBSCRIBE', 'a'],
      ['PING'],
      ['CLIENT', 'REPLY', 'ON'],
    ],
  ],
  [
    'CLIENT REPLY SKIP is used up by a SUBSCRIBE',
    [['CLIENT', 'REPLY', 'SKIP'], ['SUBSCRIBE', 'a'], ['PING'], ['@', 'PUBLISH', 'a', 'm']],
  ],
  [
    'PUBSUB and its mistakes',
    [
      ['PUBSUB'],
      ['PUBSUB', 'HELP'],
      ['PUBSUB', 'HELP', 'x'],
      ['PUBSUB', 'CHANNELS'],
      ['PUBSUB', 'channels', 'a', 'b'],
      ['PUBSUB', 'SHARDCHANNELS', 'a', 'b'],
      ['PUBSUB', 'NUMPAT'],
      ['PUBSUB', 'NUMPAT', 'x'],
      ['PUBSUB', 'NUMSUB'],
      ['PUBSUB', 'NUMSUB', 'a', 'b'],
      ['PUBSUB', 'SHARDNUMSUB'],
      ['PUBSUB', 'SHARDNUMSUB', 'a'],
      ['PUBSUB', 'NOPE'],
      ['PUBLISH', 'a'],
      ['PUBLISH', 'a', 'b', 'c'],
      ['SPUBLISH', 'a'],
      ['PUBLISH', 'a', 'b'],
      ['SPUBLISH', '', ''],
    ],
  ],
  [
    'names of any bytes, empty ones, glob signs and large messages',
    [
      ['SUBSCRIBE', '', '*', 'a b\r\n', 'ünï'],
      ['PSUBSCRIBE', '[a-c]?\\*', ''],
      ['@', 'PUBLISH', '', ''],
      ['@', 'PUBLISH', '*', 'star'],
      ['@', 'PUBLISH', 'a b\r\n', '\r\n'],
      ['@', 'PUBLISH', 'ünï', 'ü'.repeat(100_000)],
      ['@', 'PUBLISH', 'bx*', 'match'],
      ['@', 'PUBLISH', 'bxy', 'no match'],
      ['UNSUBSCRIBE', '*', ''],
    ],
  ],
]

describe.each([2, 3] as const)('RESP%i', (resp) => {
  test.each(cases)('%s', async (_, steps) => compare(resp, steps), 30_000)
})

test('RESP3 with its subscriptions goes back to RESP2, and is restricted as one of those', async () => {
  await compare(3, [
    ['SUBSCRIBE', 'a'],
    ['GET', 'x'],
    ['PUBSUB', 'NUMSUB', 'a', 'b'],
    ['PUBSUB', 'CHANNELS'],
    ['RESET'],
    ['PING'],
  ])
  const client = await rawClient(through.port)
  await client.call('HELLO', 3)
  await client.call('SUBSCRIBE', 'a')
  await client.call('HELLO', 2)
  expect(await client.callRaw('GET', 'x')).toMatch(/^-ERR Can't execute 'get'/)
  expect(await client.callRaw('PING')).toBe('*2\r\n$4\r\npong\r\n$0\r\n\r\n')
  expect(await client.callRaw('UNSUBSCRIBE')).toBe('*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n')
  expect(await client.callRaw('GET', 'x')).toBe('$-1\r\n')
})

test('the number that PUBLISH answers is that of its receivers, each channel and pattern of a client by itself', async () => {
  const results: unknown[][] = []
  for (const port of [straight, through.port]) {
    const open = () => rawClient(port)
    const [one, two, sender] = [await open(), await open(), await open()]
    await one.call('SUBSCRIBE', 'n:news')
    await two.call('SUBSCRIBE', 'n:news')
    await two.call('PSUBSCRIBE', 'n:*')
    await one.call('PSUBSCRIBE', 'n:n*')
    await one.call('PSUBSCRIBE', 'n:*')
    await one.call('SSUBSCRIBE', 'n:news')
    results.push([
      await sender.call('PUBLISH', 'n:news', 'x'),
      await sender.call('PUBLISH', 'n:other', 'x'),
      await sender.call('PUBLISH', 'nobody', 'x'),
      await sender.call('SPUBLISH', 'n:news', 'x'),
      await sender.call('PUBSUB', 'NUMSUB', 'n:news'),
      await sender.call('PUBSUB', 'NUMPAT'),
      await sender.call('PUBSUB', 'SHARDNUMSUB', 'n:news', 'x'),
      await sender.call('PUBSUB', 'SHARDCHANNELS', 'n:*'),
      await sender.call('PUBSUB', 'CHANNELS', 'n:[n]*'),
      await sender.pipeline([
        ['SET', 'k', '1'],
        ['PUBLISH', 'n:news', 'y'],
        ['GET', 'k'],
        ['PUBLISH', 'n:other', 'z'],
      ]),
    ])
    for (const client of [one, two, sender]) client.close()
    await waitFor(async () => (await (await open()).call('PUBSUB', 'NUMPAT')) === 0)
  }
  expect(results[1]).toEqual(results[0])
})

test('a pipeline with SUBSCRIBE in it is answered in its order', async () => {
  const texts: string[] = []
  for (const client of [await rawClient(straight), await rawClient(through.port)]) {
    client.send(
      Buffer.concat([
        command('SET', 'p', '1'),
        command('PING'),
        command('SUBSCRIBE', 'p1'),
        command('PING'),
        command('UNSUBSCRIBE'),
        command('GET', 'p'),
        command('SUBSCRIBE', 'p1', 'p2'),
        command('GET', 'p'),
        command('QUIT'),
      ]),
    )
    texts.push(await client.untilClosed())
  }
  expect(texts[1]).toBe(texts[0])
  expect(texts[0]).toContain('+PONG\r\n*3\r\n$9\r\nsubscribe')
})

test('CLIENT INFO counts subscriptions', async () => {
  const client = await rawClient(through.port)
  await client.call('HELLO', 3)
  for (const args of [
    ['SUBSCRIBE', 'a'],
    ['PSUBSCRIBE', 'b*'],
    ['SSUBSCRIBE', 's'],
  ])
    await client.call(...args)
  expect(await client.callRaw('CLIENT', 'INFO')).toMatch(/ flags=P db=0 sub=1 psub=1 ssub=1 /)
})
