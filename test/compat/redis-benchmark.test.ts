/**
 * redis-benchmark as Debian ships it, through Regis: it ends by itself with code 0, prints nothing but its figures, and what
 * it wrote is there, once, under the tenant's prefix. It stops with "Error from server: ..." and code 1 at the first error
 * reply, and prints "WARNING: Could not fetch server CONFIG" where CONFIG GET fails: neither may be seen. The figures
 * themselves are not judged here; bench/ does that.
 */
import { waitFor } from '../kit/wait-for.ts'
import { refusal } from './library.ts'
import { password, type Stage, startStage, user } from './stage.ts'
import { type Run, run, tools } from './tools.ts'

let stage: Stage
let redisBenchmark: string
beforeAll(async () => {
  stage = await startStage()
  ;({ redisBenchmark } = await tools())
})
beforeEach(() => stage.redis.call('FLUSHALL'))

const bench = (port: number, args: string, timeoutMs = 100_000): Promise<Run> =>
  run(redisBenchmark, ['-p', String(port), '--user', user, '-a', password, ...args.split(' ')], { timeoutMs })
const through = (args: string, timeoutMs?: number) => bench(stage.proxy.port, args, timeoutMs)

/** What is left of its output without the progress that it writes over itself, and without figures. */
function lines({ stdout }: Run): string[] {
  return stdout
    .split(/[\r\n]+/)
    .filter((line) => !/ \(overall: .*\)\s*$/.test(line) && line.trim() !== '')
    .map((line) => line.trim().replaceAll(/\d+\.\d+/g, '#'))
}

function expectClean(one: Run): void {
  // With -k 0 it warns of the ports that it will use up itself, whatever the server.
  expect([one.code, one.stderr.replace(/^WARNING: Keepalive disabled\..*\n/, '')]).toEqual([0, ''])
  expect(one.stdout).not.toMatch(/err|warn/i)
}

const keysOf = async () => ((await stage.redis.call('KEYS', '*')) as string[]).sort()

test('the acceptance line: every test prints its one line, nothing else, and the data are there', async () => {
  const one = await through('-q -n 20000 -P 16 -t get,set,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,lrange,mset')
  expectClean(one)
  const names = ['SET', 'GET', 'INCR', 'LPUSH', 'RPUSH', 'LPOP', 'SADD', 'HSET', 'SPOP', 'ZADD']
  names.push('LPUSH (needed to benchmark LRANGE)', 'LRANGE_100 (first 100 elements)', 'LRANGE_300 (first 300 elements)')
  names.push('LRANGE_500 (first 500 elements)', 'LRANGE_600 (first 600 elements)', 'MSET (10 keys)')
  expect(lines(one)).toEqual(names.map((name) => `${name}: # requests per second, p50=# msec`))
  for (const key of await keysOf()) expect(key).toMatch(/^shop:/)
  expect(await stage.redis.call('GET', 'shop:counter:__rand_int__')).toBe('20000')
  // Three pushes and one pop of 20,000 each.
  expect(await stage.redis.call('LLEN', 'shop:mylist')).toBe(40_000)
})

test('its default list, with inline PING, is the same on both sides but for the figures', async () => {
  const straight = await bench(stage.redis.port, '-q -n 500')
  const straightKeys = await keysOf()
  await stage.redis.call('FLUSHALL')
  const one = await through('-q -n 500')
  expectClean(one)
  expect(lines(one)).toEqual(lines(straight))
  expect(await keysOf()).toEqual(straightKeys.map((key) => `shop:${key}`))
})

test.each([
  ['-3', '-3 -q -n 5000 -P 4 -t set,get,hset,zadd,spop'],
  ['great random values', '-q -n 4000 -r 100000 -d 3000 -P 4 -t set,get,lpush,lrange_100'],
  ['values above what a shared connection carries', '-q -n 300 -d 100000 -P 2 -c 10 -t set,get'],
  ['200 clients', '-q -n 10000 -c 200 -t set,get,incr'],
  ['200 clients, pipelined by 100', '-q -n 20000 -c 200 -P 100 -t set,get'],
  ['two threads', '-q -n 5000 --threads 2 -t set,get'],
  ['a new connection for every command', '-q -n 500 -k 0 -t set,get'],
  ['a command of its own', '-q -n 2000 -r 1000 -P 8 xadd s:__rand_int__ * f v'],
  ['many keys a command', '-q -n 2000 -r 1000 -P 8 sunionstore d:__rand_int__ a:__rand_int__ b:__rand_int__'],
])('%s', async (_, args) => {
  expectClean(await through(args))
  for (const key of await keysOf()) expect(key).toMatch(/^shop:/)
})

test('--csv has the same lines and columns', async () => {
  const [one, other] = [
    await through('--csv -n 1000 -t set,get'),
    await bench(stage.redis.port, '--csv -n 1000 -t set,get'),
  ]
  expectClean(one)
  expect(lines(one)).toEqual(lines(other))
  expect(one.stdout).toMatch(/^"test","rps",/)
})

test('without -q it shows the host configuration, which it asked for by CONFIG GET', async () => {
  const one = await through('-n 500 -t set')
  expectClean(one)
  expect(one.stdout).toContain('host configuration "save": \n')
  expect(one.stdout).toContain('host configuration "appendonly": no\n')
})

test('-I opens its idle connections, which say nothing and so never log in; others are served, and all go when it goes', async () => {
  /** Accepted, less those that have ended. */
  const connected = async () => {
    const { body } = await stage.proxy.proxy.fetch('/metrics')
    const sum = (name: string) => {
      const rows = body.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))
      return [...rows].reduce((total, [, value]) => total + Number(value), 0)
    }
    return sum('regis_client_connections_total') - sum('regis_client_disconnects_total')
  }
  const client = await stage.proxy.client(user)
  const before = await connected()
  const idle = through('-I -c 120', 2500)
  await waitFor(async () => (await connected()) === before + 120)
  expect(await client.call('SET', 'k', 'v')).toBe('OK')
  const { code, stdout } = await idle
  expect(code).toBe('SIGKILL') // it waits for ever, so it was ended
  expect(stdout).toContain('clients: 120')
  await waitFor(async () => (await connected()) === before)
})

test('a command that is refused ends it with Redis’s words, it does not hang', async () => {
  const one = await through('-q -n 10 eval return(1) 0')
  expect(one.code).toBe(1)
  expect(one.stderr).toContain(`Error from server: ${refusal('eval')}`)
  expect((await through('-q -n 10 --dbnum 1 -t set')).stderr).toContain(
    'Error from server: ERR DB index is out of range',
  )
})
