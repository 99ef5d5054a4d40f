/**
 * Long, large and broken-off conversations: order, completeness and survival. The proxy stands in the region of a
 * replica, so that reads and writes of one pipeline want different nodes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topology } from '../../src/demo/topology.ts'
import { converse, cutAt, exchange, randomFrom } from '../kit/exchange.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, decode } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'

const login = (user: string): Buffer => command('AUTH', user, 'demo')

describe('pipelines', () => {
  let topology: Topology
  let proxy: StartedProxy
  const random = randomFrom(Number(process.env['SEED'] ?? 11))
  const pick = (n: number): number => Math.floor(random() * n)

  beforeAll(async () => {
    topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
    proxy = await startProxy(
      {
        region: 'us-east',
        primary: 'eu-west',
        regions: regionsFor(topology, 'us-east'),
        tenants: {
          shop: {
            users: { 'shop-app': { password: 'demo' }, 'shop-old': { password: 'demo', consistency: 'eventual' } },
          },
          other: { users: { 'other-app': { password: 'demo' } } },
          // The longest prefix there may be.
          long: { prefix: `${'p'.repeat(127)}:`, users: { 'long-app': { password: 'demo' } } },
        },
        limits: { auth_failures: '0/m' },
      },
      { env: { REGIS_PARANOID: '1' } },
    )
  })

  afterAll(async () => {
    const page = await metric(proxy)
    expect(page.sum('regis_desync_total')).toBe(0)
    expect(page.sum('regis_foreign_prefix_total')).toBe(0)
  })

  test('a client that sends FIN behind its requests hears all replies', async () => {
    const commands = [login('shop-app')]
    let expected = '+OK\r\n'
    for (let i = 0; i < 500; i++) {
      commands.push(command('SET', `fin:${i}`, `v${i}`), command('GET', `fin:${i}`), command('ECHO', i))
      expected += `+OK\r\n$${`v${i}`.length}\r\nv${i}\r\n$${String(i).length}\r\n${i}\r\n`
    }
    const whole = Buffer.concat(commands)
    for (const pieces of [[whole], cutAt(whole, [whole.length / 3, whole.length / 2].map(Math.floor))]) {
      const heard = await exchange(pieces, { port: proxy.port, fin: true })
      expect(heard.isClosed).toBe(true)
      expect(heard.bytes === expected).toBe(true)
    }
  })

  test('a client that sends FIN behind half a request hears the replies of the whole ones', async () => {
    const heard = await exchange(
      [Buffer.concat([login('shop-app'), command('GET', 'fin:none'), Buffer.from('*2\r\n$3\r\nGE')])],
      {
        port: proxy.port,
        fin: true,
      },
    )
    expect(heard).toEqual({ bytes: '+OK\r\n$-1\r\n', isClosed: true })
  })

  test('CLIENT REPLY SKIP hides the read that gives way to a write behind it', async () => {
    const client = await proxy.client('shop-old')
    client.send(
      Buffer.concat([
        command('CLIENT', 'REPLY', 'SKIP'),
        command('GET', 'none'),
        command('DEL', 'none'),
        command('ECHO', 'b'),
      ]),
    )
    expect(await client.read()).toBe(0)
    expect(await client.read()).toBe('b')
  })

  test('one connection changes its tenant and its RESP version in the middle of a pipeline', async () => {
    const shop = await proxy.client('shop-app')
    const other = await proxy.client('other-app')
    await shop.call('SET', 'who', 'shop')
    await other.call('SET', 'who', 'other')
    const client = await RawClient.open(proxy.port)
    for (let round = 0; round < 20; round++) {
      const commands: (readonly string[])[] = []
      const expected: unknown[] = []
      for (let i = 0; i < 40; i++) {
        const user = pick(2) === 0 ? 'shop' : 'other'
        if (pick(2) === 0) {
          commands.push(['AUTH', `${user}-app`, 'demo'])
          expected.push('OK')
        } else {
          const resp = 2 + pick(2)
          commands.push(['HELLO', String(resp), 'AUTH', `${user}-app`, 'demo'])
          expected.push(resp === 3 ? expect.any(Map) : expect.any(Array))
        }
        for (let n = pick(4); n > 0; n--) {
          const which = pick(4)
          if (which === 0) commands.push(['SET', 'who', user])
          else commands.push(which === 1 ? ['ECHO', user] : ['GET', 'who'])
          expected.push(which === 0 ? 'OK' : user)
        }
      }
      const replies = await client.pipeline(commands)
      expect(replies).toEqual(expected)
    }
    client.close()
  })

  test('requests around 64 KiB, 128 KiB and 1 MiB keep their place among small ones', async () => {
    const client = await proxy.client('shop-app')
    const around = [65_536, 131_072, 1_048_576].flatMap((size) => [-3, -2, -1, 0, 1, 2, 3].map((by) => size + by))
    const frames: Buffer[] = []
    const expected: string[] = []
    for (const total of around) {
      // SET k<total> with the value that makes the whole request `total` bytes.
      const key = `size:${total}`
      let value = ''
      for (let room = total; room > 0; room--) {
        const overhead = command('SET', key, '').length - 1 + String(room).length
        if (overhead + room === total) value = 'x'.repeat(room)
        if (overhead + room <= total) break
      }
      const frame = command('SET', key, value)
      if (value !== '') expect(frame.length).toBe(total)
      frames.push(
        command('SET', 'small', total),
        frame,
        command('GET', 'small'),
        command('STRLEN', key),
        command('ECHO', total),
        command('GET', key),
        command('DEL', key),
      )
      expected.push(
        '+OK',
        '+OK',
        `$${String(total).length}`,
        `:${value.length}`,
        `$${String(total).length}`,
        `$${value.length}`,
        ':1',
      )
    }
    client.send(Buffer.concat(frames))
    for (const head of expected) expect((await client.readRaw(20_000)).split('\r\n', 1)[0]).toBe(head)
  })

  test('a request of a million arguments, and one more than may be', async () => {
    const heard = await exchange(
      [login('shop-app'), `*1000000\r\n$3\r\nDEL\r\n${'$1\r\na\r\n'.repeat(999_999)}`, command('ECHO', 'after')],
      {
        port: proxy.port,
        until: '$5\r\nafter\r\n',
        timeoutMs: 20_000,
      },
    )
    expect(heard.bytes).toBe('+OK\r\n:0\r\n')
  })

  test('many empty keys under the longest prefix: a request that grows twenty times', async () => {
    const keys = 10_900
    const frame = `*${keys + 1}\r\n$6\r\nEXISTS\r\n${'$0\r\n\r\n'.repeat(keys)}`
    expect(frame.length).toBeLessThan(65_536)
    const heard = await exchange([login('long-app'), frame, command('ECHO', 'after')], {
      port: proxy.port,
      until: '$5\r\nafter\r\n',
    })
    expect(heard.bytes).toBe('+OK\r\n:0\r\n')
  })

  test('a value of 100 MB goes in and comes back', async () => {
    const size = 100_000_000
    const value = Buffer.alloc(size, 'regis-')
    const client = await proxy.client('shop-app')
    const head = Buffer.from(`*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$${size}\r\n`)
    client.send(head)
    client.send(value)
    client.send('\r\n')
    expect(await client.read(25_000)).toBe('OK')
    client.close()
    const reader = await proxy.client('shop-app')
    const chunks: Buffer[] = []
    let got = 0
    const whole = new Promise<void>((resolve, reject) => {
      reader.socket.removeAllListeners('data')
      reader.socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        got += chunk.length
        if (got >= size + 14) resolve()
      })
      reader.socket.on('close', () => reject(new Error(`closed after ${got} bytes`)))
    })
    reader.send(command('GET', 'huge'))
    await whole
    const reply = Buffer.concat(chunks)
    expect(reply.toString('latin1', 0, 12)).toBe(`$${size}\r\n`)
    expect(reply.subarray(12, 12 + size).equals(value)).toBe(true)
    reader.close()
    const cleaner = await proxy.client('shop-app')
    expect(await cleaner.call('DEL', 'huge')).toBe(1)
  })

  test('100,000 commands of a client that reads only afterwards are all answered, in order', async () => {
    const client = await proxy.client('shop-old')
    client.socket.pause()
    const count = 100_000
    for (let at = 0; at < count; at += 1_000) {
      const part: Buffer[] = []
      for (let i = at; i < at + 1_000; i++) {
        const which = i % 7
        part.push(
          which === 0 ? command('SET', `p:${i % 100}`, i) : which < 4 ? command('ECHO', i) : command('GET', 'p:none'),
        )
      }
      client.socket.write(Buffer.concat(part))
      if (at % 10_000 === 0) await sleep(1)
    }
    await sleep(300)
    const chunks: Buffer[] = []
    let seen = 0
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${seen} bytes`)), 20_000)
      client.socket.removeAllListeners('data')
      client.send(command('ECHO', 'the end'))
      client.socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        seen += chunk.length
        if (Buffer.concat(chunks.slice(-2)).includes('the end')) {
          clearTimeout(timer)
          resolve()
        }
      })
      client.socket.on('close', () => reject(new Error('closed')))
      client.socket.resume()
    })
    const bytes = Buffer.concat(chunks)
    let at = 0
    for (let i = 0; i < count; i++) {
      const found = decode(bytes, at)!
      const which = i % 7
      const wanted = which === 0 ? 'OK' : which < 4 ? String(i) : null
      if (found.reply !== wanted) throw new Error(`reply ${i}: ${JSON.stringify(found.reply)} instead of ${wanted}`)
      at = found.end
    }
  })

  test('mutated requests crash nothing, and others are served meanwhile', async () => {
    const seeds = [
      command('SET', 'f:1', 'value'),
      command('GET', 'f:1'),
      command('MSET', 'f:1', 'a', 'f:2', 'b'),
      command('LPUSH', 'f:l', 'x'),
      command('XREAD', 'COUNT', '1', 'STREAMS', 'f:s', '0'),
      command('SORT', 'f:l', 'BY', 'nosort', 'GET', '#', 'STORE', 'f:d'),
      command('ZUNIONSTORE', 'f:z', '2', 'f:a', 'f:b', 'WEIGHTS', '1', '2'),
      command('CLIENT', 'REPLY', 'ON'),
      command('HELLO', '3'),
      command('COMMAND', 'GETKEYS', 'GET', 'a'),
      command('LMPOP', '2', 'f:a', 'f:b', 'LEFT'),
      Buffer.from('SET f:1 "a b"\r\n'),
    ]
    const words = [
      '$9999999999',
      '*1048576\r\n',
      '$-1\r\n',
      '\r',
      '\n',
      '\0',
      '*0\r\n',
      '$0\r\n\r\n',
      '\x16\x03',
      '"',
      "'",
      '%1\r\n',
      '-',
      '>',
      '\xff',
    ]
    const mutate = (): Buffer => {
      let bytes = Buffer.concat(Array.from({ length: 1 + pick(4) }, () => seeds[pick(seeds.length)]!))
      for (let n = 1 + pick(3); n > 0; n--) {
        const at = pick(bytes.length + 1)
        const which = pick(4)
        if (which === 0) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(5))])
        else if (which === 1)
          bytes = Buffer.concat([
            bytes.subarray(0, at),
            Buffer.from(words[pick(words.length)]!, 'latin1'),
            bytes.subarray(at),
          ])
        else if (which === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(pick(bytes.length + 1))])
        else if (at < bytes.length) bytes[at] = pick(256)
        if (bytes.length === 0) bytes = Buffer.from('*')
      }
      return bytes
    }
    const witness = await proxy.client('other-app')
    await witness.call('SET', 'w', 'witness')
    for (let round = 0; round < 60; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const bytes = mutate()
          const client = await RawClient.open(proxy.port)
          const cut = pick(bytes.length)
          await converse(
            client.socket,
            [Buffer.concat([login('shop-app'), bytes.subarray(0, cut)]), bytes.subarray(cut)],
            { fin: true },
          )
          client.close()
        }),
      )
      expect(await witness.call('GET', 'w')).toBe('witness')
    }
    expect(proxy.proxy.isRunning).toBe(true)
    expect((await metric(proxy)).sum('regis_uncaught_total')).toBe(0)
  })
})
