import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { checkCorrectness } from '../../bench/correctness.ts'
import { RedisServer } from '../../src/demo/redis-server.ts'

/** A relay that changes one chunk of replies, once, after so many bytes: the mistakes a proxy can make. */
async function lyingRelay(upstreamPort: number, change: (bytes: Buffer) => Buffer, afterBytes: number) {
  let seen = 0
  let lied = false
  const server = createServer((client) => {
    const upstream = connect(upstreamPort, '127.0.0.1')
    client.pipe(upstream)
    upstream.on('data', (bytes: Buffer) => {
      seen += bytes.length
      const lies = !lied && seen > afterBytes && bytes.length > 20
      lied ||= lies
      client.write(lies ? change(bytes) : bytes)
    })
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

describe('the correctness check of the bench', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await RedisServer.start()
  })
  afterAll(() => redis.stop())

  const options = { host: '127.0.0.1', clients: 4, commands: 150, seed: 5 }

  test('passes on Redis itself, again and again with the same seed', async () => {
    const first = await checkCorrectness({ ...options, port: redis.port })
    const second = await checkCorrectness({ ...options, port: redis.port })
    expect(first).toEqual(second)
    expect(first.commands).toBe(600)
    expect(first.replyBytes).toBeGreaterThan(100_000)
  })

  test.each([
    ['one changed byte', (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === 15 ? byte ^ 1 : byte)))],
    ['one byte too many', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('x')])],
    ['a repeated chunk', (bytes: Buffer) => Buffer.concat([bytes, bytes])],
  ])('finds %s', async (_, change) => {
    const { server, port } = await lyingRelay(redis.port, change, 50_000)
    try {
      await expect(checkCorrectness({ ...options, port })).rejects.toThrow(/promised was/)
    } finally {
      server.close()
    }
  })
})
