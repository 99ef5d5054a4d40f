/** SIGTERM: who has been heard is answered whole, nobody new is taken, and the process ends by itself and in time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { clientsOf } from '../kit/attributed-load.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, decode } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis, startRelay } from '../kit/servers.ts'

const drainMs = 3_000
const config = (url: string): object => ({
  region: 'eu-west',
  primary: 'eu-west',
  upstream: { timeout: '1s' },
  regions: { 'eu-west': { nodes: [url] } },
  tenants: { t0: { users: { 't0-app': { password: 'demo' } } } },
  shutdown: { drain: `${drainMs}ms` },
})

/** The exit code, and that it came by itself; the seconds above shutdown.drain are for a busy machine. */
async function expectsEnd(proxy: StartedProxy): Promise<void> {
  const ended = await Promise.race([proxy.proxy.exited(), sleep(drainMs + 10_000, 'still running', { ref: false })])
  expect(ended).toBe(0)
}

describe('drain', () => {
  test('under pipelined load no reply that was begun is cut, and each client hears the end', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url), { env: { REGIS_PARANOID: '1' } })
    const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.client('t0-app')))
    const listening = clients.map(async (client, id) => {
      const chunks: Buffer[] = []
      let sent = 0
      let isEnded = false
      client.socket.removeAllListeners('data')
      client.socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      client.socket.on('end', () => {
        isEnded = true
        client.socket.end()
      })
      // Numbered echoes from the proxy and from the node in turn, without waiting.
      while (!isEnded && !client.socket.destroyed) {
        const part: Buffer[] = []
        for (let i = 0; i < 50; i++, sent++)
          part.push(sent % 2 === 0 ? command('ECHO', sent) : command('INCR', `n${id}`))
        client.socket.write(Buffer.concat(part))
        await sleep(2)
      }
      const bytes = Buffer.concat(chunks)
      let at = 0
      let count = 0
      while (at < bytes.length) {
        const found = decode(bytes, at)
        if (found === undefined) return { cut: bytes.toString('latin1', at) }
        const wanted = count % 2 === 0 ? String(count) : (count + 1) / 2
        if (found.reply !== wanted) return { reply: found.reply, wanted }
        at = found.end
        count++
      }
      return {
        isEnded,
        increments: Number(await redis.call('GET', `t0:n${id}`)) - Math.floor(count / 2),
        hasMany: count > 100,
      }
    })
    await sleep(400)
    proxy.proxy.signal('SIGTERM')
    await expectsEnd(proxy)
    // What the node has counted, the client has been told.
    for (const outcome of await Promise.all(listening))
      expect(outcome).toEqual({ isEnded: true, increments: 0, hasMany: true })
    await expect(RawClient.open(proxy.port)).rejects.toThrow('ECONNREFUSED')
  })

  test('clients that wait for their replies get them, then the end', async () => {
    const redis = await startRedis()
    const relay = await startRelay({ port: redis.port }, { delayMs: 150 })
    const proxy = await startProxy(config(`redis://127.0.0.1:${relay.port}`))
    const client = await proxy.client('t0-app')
    client.send(
      Buffer.concat([command('SET', 'a', '1'), command('INCR', 'a'), command('ECHO', 'e'), command('GET', 'a')]),
    )
    await sleep(30)
    proxy.proxy.signal('SIGTERM')
    expect(await client.untilClosed()).toBe('+OK\r\n:2\r\n$1\r\ne\r\n$1\r\n2\r\n')
    client.end()
    await expectsEnd(proxy)
  })

  test('a slow reader is given what was answered before the process ends', async () => {
    const redis = await startRedis()
    await redis.call('SETRANGE', 't0:big', 999_999, 'x')
    // Much more time than 20 MB take: what is asserted is that all come, not how fast a busy machine is.
    const proxy = await startProxy({ ...config(redis.url), shutdown: { drain: '20s' } })
    const client = await proxy.client('t0-app')
    client.socket.pause()
    client.send(Buffer.concat(Array.from({ length: 20 }, () => command('GET', 'big'))))
    await sleep(500)
    proxy.proxy.signal('SIGTERM')
    await sleep(500)
    client.socket.resume()
    const heard = await client.untilClosed(20_000)
    expect(heard.length).toBe(20 * (1_000_000 + '$1000000\r\n\r\n'.length))
    client.end()
    await expectsEnd(proxy)
  })

  test('idle clients, clients that keep their side open and clients without a login hold nothing up', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url))
    const clients = [await proxy.client('t0-app'), await proxy.client('t0-app'), await rawClient(proxy.port)]
    clients[1]!.send('*2\r\n$3\r\nGET\r\n$1')
    await sleep(50)
    proxy.proxy.signal('SIGTERM')
    for (const client of clients) expect(await client.untilClosed()).toBe('')
    await expectsEnd(proxy)
  })

  test('a client that never reads does not hold the end up for longer than shutdown.drain', async () => {
    const redis = await startRedis()
    await redis.call('SETRANGE', 't0:big', 999_999, 'x')
    const proxy = await startProxy(config(redis.url))
    const client = await proxy.client('t0-app')
    client.socket.pause()
    client.send(Buffer.concat(Array.from({ length: 20 }, () => command('GET', 'big'))))
    await sleep(300)
    proxy.proxy.signal('SIGTERM')
    await expectsEnd(proxy)
  })

  test('a second SIGTERM ends at once', async () => {
    const redis = await startRedis()
    const relay = await startRelay({ port: redis.port })
    const proxy = await startProxy({
      ...config(`redis://127.0.0.1:${relay.port}`),
      upstream: { timeout: '20s' },
      shutdown: { drain: '20s' },
    })
    const client = await proxy.client('t0-app')
    relay.partition(true)
    client.send(command('SET', 'a', 'b'))
    await sleep(50)
    proxy.proxy.signal('SIGTERM')
    await sleep(200)
    expect(proxy.proxy.isRunning).toBe(true)
    proxy.proxy.signal('SIGTERM')
    await expectsEnd(proxy)
  })

  test('five times under attributed load: nothing is misattributed and the process ends with 0', async () => {
    const redis = await startRedis()
    for (let round = 0; round < 5; round++) {
      const proxy = await startProxy(config(redis.url), { env: { REGIS_PARANOID: '1' } })
      const clients = clientsOf([{ name: 't0', readsOwnWrites: true }], 10, {
        port: proxy.port,
        answerMsMax: 3_000,
        seed: round + 1,
      })
      const load = clients.map((client) => client.run(1_000_000))
      await sleep(300)
      for (const client of clients) client.stop()
      proxy.proxy.signal('SIGTERM')
      await Promise.all(load)
      await expectsEnd(proxy)
      // The drain may end a connection, or refuse a new one, but a reply is never wrong.
      expect(clients.flatMap((client) => client.wrong).filter((text) => !text.includes('ECONNREFUSED'))).toEqual([])
      await redis.call('FLUSHALL')
    }
  })
})
