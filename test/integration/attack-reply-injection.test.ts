/**
 * A tenant that may run scripts tries to put a line of its own making into a reply, so that every later reply on that connection
 * would be taken for the one before: other tenants at work meanwhile get their own replies only, and the attacker exactly one
 * for each command. INJECTIONS= makes the run longer.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { clientsOf } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

const rounds = Number(process.env['INJECTIONS'] ?? 12)
const injected = '\r\n+INJECTED\r\n$4\r\nmore\r\n'
const escaped = '\\r\\n+INJECTED\\r\\n'

/** Commands whose replies would hold the line. Behaviour 2.7 and its kin. */
const vectors: readonly (readonly string[])[] = [
  // First lines that Redis 7.0 repeats inside its error, quotes and escapes undone.
  ['EVAL', `#!"lua${escaped}"\nreturn 1`, '0'],
  ['EVAL', `#!lua "flags=x${escaped}"\nreturn 1`, '0'],
  ['SCRIPT', 'LOAD', `#!"lua${escaped}"\nreturn 1`],
  ['FUNCTION', 'LOAD', `#!"zz${escaped}" name=x\nreturn 1`],
  ['FUNCTION', 'LOAD', `#!lua "name=x${escaped}"\nreturn 1`],
  ['FUNCTION', 'LOAD', 'REPLACE', `#!lua name=evil\nerror("x${escaped}")`],
  ['FUNCTION', 'LOAD', 'REPLACE', `#!lua name=evil\nerror({err="x${escaped}"})`],
  ['FUNCTION', 'LOAD', 'REPLACE', `#!lua name=evil\nredis.register_function("a${escaped}", function() return 1 end)`],
  // Errors and status lines that a script makes.
  ['EVAL', `return redis.error_reply("E${escaped}")`, '0'],
  ['EVAL', `return redis.status_reply("S${escaped}")`, '0'],
  ['EVAL', `return {err="E${escaped}"}`, '0'],
  ['EVAL', `return {ok="S${escaped}"}`, '0'],
  ['EVAL', `return {{ok="S${escaped}"}, {err="E${escaped}"}}`, '0'],
  ['EVAL', `error("E${escaped}")`, '0'],
  ['EVAL', `error({err="E${escaped}"})`, '0'],
  ['EVAL', `return redis.call("nothing${escaped}")`, '0'],
  ['EVAL', `return redis.pcall("nothing${escaped}")`, '0'],
  ['EVAL', `redis.setresp(3); return {double=1, map={a="b${escaped}"}}`, '0'],
  ['EVAL', `return loadstring("x${escaped}")`, '0'],
  ['EVAL', `this is no lua ${injected}`, '0'],
  ['EVALSHA', `e0e1f9fabfc9d4800c877a703b823ac0578ff8d${injected}`, '0'],
  ['FCALL', `none${injected}`, '0'],
  // Names that errors of Redis or of the proxy repeat.
  [`NONE${injected}`, `arg${injected}`],
  ['CLIENT', `NONE${injected}`],
  ['XREADGROUP', 'GROUP', `g${injected}`, `c${injected}`, 'STREAMS', `s${injected}`, '>'],
  ['XGROUP', 'CREATECONSUMER', `s${injected}`, `g${injected}`, 'c'],
  ['CLIENT', 'SETNAME', `name${injected}`],
  ['OBJECT', `NONE${injected}`, 'k'],
  ['SET', 'k', 'v', `OPTION${injected}`],
  ['ACL', 'GENPASS', `12${injected}`],
]

let redis: RedisServer
let proxy: StartedProxy

beforeAll(async () => {
  redis = await startRedis()
  await redis.call('ACL', 'SETUSER', 'regis', 'on', '>upstream', '~*', '&*', '+@all')
  const users = (name: string) => ({ users: { [`${name}-app`]: { password: 'demo' } } })
  proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [`redis://127.0.0.1:${redis.port}`] } },
    upstream: { username: 'regis', password: 'upstream', acl: 'provision' },
    tenants: {
      any: { scripts: 'any', ...users('any') },
      declared: { scripts: 'declared', ...users('declared') },
      ...Object.fromEntries(['t0', 't1', 't2', 't3'].map((name) => [name, users(name)])),
    },
  })
})

/** Sends a vector with an ECHO behind it. What came instead of one reply and the echo; undefined: that. */
async function attack(client: RawClient, vector: readonly string[], word: string): Promise<string | undefined> {
  client.send(Buffer.concat([command(...vector), command('ECHO', word)]))
  await client.readRaw()
  const behind = await client.readRaw()
  return behind === `$${word.length}\r\n${word}\r\n` ? undefined : behind
}

test('the vectors are real: straight on Redis some of them split a reply in two', async () => {
  const shifted = []
  for (const vector of vectors) {
    const client = await rawClient(redis.port)
    const behind = await attack(client, vector, 'straight').catch((error) => String(error))
    if (behind !== undefined) shifted.push(vector)
    client.close()
  }
  expect(shifted.length).toBeGreaterThan(0)
  await redis.call('FUNCTION', 'FLUSH')
})

test(
  `${rounds} times every vector, and no reply of anybody is shifted`,
  async () => {
    const tenants = ['t0', 't1', 't2', 't3'].map((name) => ({ name, readsOwnWrites: true }))
    const clients = clientsOf(tenants, 3, { port: proxy.port, answerMsMax: 20_000, seed: 1 })
    let isOver = false
    const works = clients.map(async (client) => {
      // In pieces: one run of the load has a limit of its own.
      while (!isOver && client.wrong.length === 0) await client.run(2_000)
    })
    const wrong: string[] = []
    const sent = { any: 0, declared: 0 }
    const attackers = (['any', 'declared'] as const).flatMap((tenant) =>
      [2, 3].map(async (version) => {
        const open = async (): Promise<RawClient> => {
          const fresh = await proxy.client(`${tenant}-app`)
          if (version === 3) await fresh.call('HELLO', '3')
          return fresh
        }
        let client = await open()
        for (let round = 0; round < rounds && wrong.length < 5; round++) {
          for (const [i, vector] of vectors.entries()) {
            const word = `${tenant}-${version}-${round}-${i}`
            const behind = await attack(client, vector, word).catch((error) => String(error))
            sent[tenant]++
            if (behind !== undefined) wrong.push(`${word} ${JSON.stringify(vector)}: ${JSON.stringify(behind)}`)
            if (client.isClosed) client = await open()
          }
        }
      }),
    )
    await Promise.all(attackers)
    isOver = true
    for (const client of clients) client.stop()
    await Promise.all(works)
    expect(wrong).toEqual([])
    expect(sent).toEqual({ any: 2 * rounds * vectors.length, declared: 2 * rounds * vectors.length })
    expect(clients.flatMap((client) => client.wrong).slice(0, 5)).toEqual([])
    expect(Math.min(...clients.map((client) => client.answered))).toBeGreaterThan(0)
    const page = await metric(proxy)
    for (const name of ['desync', 'foreign_prefix', 'uncaught'])
      expect({ name, count: page.sum(`regis_${name}_total`) }).toEqual({ name, count: 0 })
  },
  Math.max(60_000, rounds * 1_000),
)
