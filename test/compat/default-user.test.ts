/** Clients that know a password but no user name, as against a Redis with requirepass; and a tenant that needs neither. */
import { once } from 'node:events'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { atEnd, rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { settle } from './library.ts'
import { configOf } from './stage.ts'
import { run, tools } from './tools.ts'

let ports: readonly number[]
let open: { proxy: StartedProxy; port: number }
let redisCli: string
beforeAll(async () => {
  ;({ redisCli } = await tools())
  const [locked, plain] = [await startRedis(), await startRedis()]
  await locked.call('ACL', 'SETUSER', 'regis', 'on', '>upstream', '~*', '&*', '+@all')
  await locked.call('CONFIG', 'SET', 'requirepass', 'first')
  const users = (user: object) => ({ tenants: { dev: { users: { default: user } } } })
  const [proxy, without] = await Promise.all([
    startProxy({
      ...configOf(locked),
      upstream: { username: 'regis', password: 'upstream' },
      ...users({ password: 'first' }),
    }),
    startProxy({ ...configOf(plain), ...users({ nopass: true }) }),
  ])
  ports = [locked.port, proxy.port]
  open = { proxy: without, port: plain.port }
})

/** The same on both sides; what it was on the first. */
async function same(ask: (port: number) => Promise<unknown>): Promise<unknown> {
  const [straight, through] = [await ask(ports[0]!), await ask(ports[1]!)]
  expect(through).toEqual(straight)
  return straight
}

test.each([2, 3] as const)('ioredis with a password alone, protocol %d', async (protocol) => {
  const reply = await same(async (port) => {
    const client = new Redis({ port, password: 'first', protocol })
    atEnd(() => (client.status === 'end' ? undefined : client.disconnect()))
    await once(client, 'ready')
    return [await client.set('k', protocol), await client.get('k'), await client.call('ACL', 'WHOAMI')]
  })
  expect(reply).toEqual(['OK', String(protocol), 'default'])
})

test.each([2, 3] as const)('node-redis with a password alone, RESP %d', async (RESP) => {
  const reply = await same(async (port) => {
    const client = createClient({ url: `redis://:first@127.0.0.1:${port}`, RESP })
    client.on('error', () => {})
    atEnd(() => (client.isOpen ? client.destroy() : undefined))
    await client.connect()
    return [await client.set('k', 'v'), await client.get('k'), await client.aclWhoAmI()]
  })
  expect(reply).toEqual(['OK', 'v', 'default'])
})

test('redis-cli -a, REDISCLI_AUTH, and a wrong password', async () => {
  const cli = (port: number, args: string[], env = {}) =>
    run(redisCli, ['-p', String(port), ...args, 'acl', 'whoami'], { env })
  expect(await same((port) => cli(port, ['-a', 'first', '--no-auth-warning']))).toMatchObject({ stdout: 'default\n' })
  expect(await same((port) => cli(port, [], { REDISCLI_AUTH: 'first' }))).toMatchObject({ stdout: 'default\n' })
  expect(await same((port) => cli(port, ['-a', 'wrong']))).toMatchObject({ stdout: expect.stringContaining('NOAUTH') })
  expect(await same((port) => cli(port, []))).toMatchObject({ stdout: expect.stringContaining('NOAUTH') })
})

test('the raw words: before, during and after', async () => {
  await same(async (port) => {
    const client = await rawClient(port)
    const replies: string[] = []
    for (const line of [
      'GET k',
      'PING',
      'HELLO 3',
      'AUTH wrong',
      'AUTH first',
      'PING',
      'AUTH nobody first',
      'GET none',
    ]) {
      replies.push(await client.callRaw(...line.split(' ')))
    }
    for (const line of ['AUTH a b c', 'AUTH', 'RESET', 'GET none', 'QUIT'])
      replies.push(await client.callRaw(...line.split(' ')))
    return [replies, await client.untilClosed()]
  })
})

test('without a password at all every client is in at once, and AUTH says what Redis says', async () => {
  const port = open.proxy.port
  const client = new Redis({ port })
  atEnd(() => (client.status === 'end' ? undefined : client.disconnect()))
  expect([await client.set('k', 'v'), await client.get('k')]).toEqual(['OK', 'v'])
  const node = createClient({ url: `redis://127.0.0.1:${port}` })
  atEnd(() => (node.isOpen ? node.destroy() : undefined))
  await node.connect()
  expect(await node.get('k')).toBe('v')
  expect(await run(redisCli, ['-p', String(port), 'get', 'k'])).toEqual({ code: 0, stdout: 'v\n', stderr: '' })
  const auth = async (at: number) => (await rawClient(at)).callRaw('AUTH', 'anything')
  expect(await auth(port)).toBe(await auth(open.port))
  expect(await settle(client.call('AUTH', 'default', 'any'))).toBe('OK') // nopass takes any password, as in Redis
})
