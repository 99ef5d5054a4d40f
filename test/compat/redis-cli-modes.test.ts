/** redis-cli's own modes, straight to Redis and through Regis: walks of the keyspace, listening, monitoring, transactions. */
import { password, prefix, type Stage, startStage, user } from './stage.ts'
import { type RunOptions, run, tools } from './tools.ts'

let stage: Stage
let redisCli: string
beforeAll(async () => {
  stage = await startStage()
  ;({ redisCli } = await tools())
})

const login = ['--user', user, '--pass', password, '--no-auth-warning']
const cli = (port: number, args: readonly string[], options?: RunOptions) =>
  run(redisCli, ['-p', String(port), ...login, ...args], options)

/** A mode that prints for ever is ended by the test: its lines must not lie in a buffer then. */
const endless = (port: number, args: readonly string[]) =>
  run('stdbuf', ['-oL', redisCli, '-p', String(port), ...login, ...args], { timeoutMs: 1500 })

/** One key of each type, the biggest of its type beside a small one; names that are awkward to print. */
const data = [
  `MSET small 1 "big one" ${'0123456789'.repeat(20)} "q\\"\\n" x`,
  'RPUSH list 1 2 3 4 5',
  'RPUSH list2 1',
  'SADD set a b c',
  'ZADD zset 1 a 2 b',
  'HSET hash a 1 b 2 c 3',
  'XADD stream 1-1 f v',
].join('\n')

/** The same invocation on both sides, on the same data; others' keys lie around on the side of the proxy. */
async function bothWays(args: readonly string[], options?: RunOptions & { empty?: boolean }) {
  const on = async (port: number) => {
    await stage.redis.call('FLUSHALL')
    if (options?.empty !== true) await cli(port, [], { input: data })
    if (port === stage.proxy.port) {
      const foreign = Array.from({ length: 50 }, (_, i) => [`analytics:${i}`, 'x'.repeat(1000)])
      await stage.redis.call('MSET', ...foreign.flat())
    }
    const { code, stdout, stderr } = await cli(port, args, options)
    const plain = (text: string) => text.replaceAll(String(port), 'PORT')
    return { code, stdout: plain(stdout), stderr: plain(stderr) }
  }
  return { straight: await on(stage.redis.port), through: await on(stage.proxy.port) }
}

const lines = (text: string) => text.split('\n').filter((line) => line !== '')

describe('walks', () => {
  test.each([
    ['--scan', ['--scan']],
    ['--scan --pattern', ['--scan', '--pattern', '*s*t*']],
    ['--scan --quoted-pattern', ['--scan', '--quoted-pattern', '"big\\x20*"']],
    ['--scan -3', ['--scan', '-3']],
  ])('%s', async (_, args) => {
    const { straight, through } = await bothWays(args)
    // The order is that of the server's hash table, in which the names are longer by the prefix.
    const sorted = ({ code, stdout, stderr }: typeof straight) => ({
      code,
      stderr,
      lines: [...new Set(lines(stdout))].sort(),
    })
    expect(sorted(through)).toEqual(sorted(straight))
    expect(lines(straight.stdout).length).toBeGreaterThan(0)
  })

  test.each(['--bigkeys', '--memkeys'])('%s: the same summary', async (mode) => {
    const { straight, through } = await bothWays([mode])
    const summary = ({ code, stdout, stderr }: typeof straight) => {
      const text = stdout.slice(stdout.indexOf('-------- summary'))
      // Bytes of memory, and the length of all names, depend on the names; so does which of two keys came first.
      const plain =
        mode === '--memkeys' ? text.replaceAll(/\d+(\.\d+)? (bytes|avg)|\d+ bytes|avg (size|len) \d+\.\d+/g, '#') : text
      return { code, stderr, lines: lines(plain).sort() }
    }
    expect(summary(through)).toEqual(summary(straight))
    expect(straight.stdout).toContain('Sampled 9 keys in the keyspace!')
    expect(through.stdout).not.toContain(prefix)
    expect(through.stdout).not.toContain('analytics')
  })

  test('--hotkeys needs another policy of the server, and says so', async () => {
    const { straight, through } = await bothWays(['--hotkeys'])
    expect(through).toEqual(straight)
    expect(straight.stderr + straight.stdout).toContain('ERR An LFU maxmemory policy is not selected')
  })
})

test('--stat shows keys, memory, clients and requests, line after line', async () => {
  const columns = async (port: number) => {
    const { stdout } = await endless(port, ['--stat', '-i', '0.1'])
    expect(lines(stdout).length).toBeGreaterThan(3)
    const [, head, first, second] = lines(stdout)
    // keys, mem, clients, blocked, requests, connections
    return [head, first?.trim().split(/\s+/)[0], second?.trim().split(/\s+/)[0], /\(\+\d+\)/.test(second ?? '')]
  }
  const of = async (port: number) => {
    await stage.redis.call('FLUSHALL')
    await cli(port, [], { input: data })
    if (port === stage.proxy.port) await stage.redis.call('MSET', 'analytics:a', '1', 'analytics:b', '2')
    return columns(port)
  }
  expect(await of(stage.proxy.port)).toEqual(await of(stage.redis.port))
})

test.each([
  ['--latency-history', ['--latency-history', '-i', '0.3']],
  ['--latency-dist', ['--latency-dist', '-i', '0.3']],
])('%s goes on measuring', async (_, args) => {
  for (const port of [stage.redis.port, stage.proxy.port]) {
    const { stdout, stderr } = await endless(port, args)
    expect(stderr).toBe('')
    expect(stdout.length).toBeGreaterThan(20)
    expect(stdout).not.toMatch(/ERR|NOPERM|NOAUTH/)
  }
})

describe('listening', () => {
  /** A redis-cli that listens until it has printed enough; `act` runs when it has printed so many lines: that it listens. */
  async function heard(
    port: number,
    args: readonly string[],
    ready: number,
    isOver: (soFar: string) => boolean,
    act: () => Promise<unknown>,
  ) {
    let isActing = false
    const onOutput = (soFar: string) => {
      if (isActing || lines(soFar).length < ready) return
      isActing = true
      void act()
    }
    const { stdout } = await cli(port, args, { timeoutMs: 8000, onOutput, isOver })
    return lines(stdout)
  }

  test.each([
    ['SUBSCRIBE', ['--csv', 'subscribe', 'news', 'sport'], 3, 5],
    ['PSUBSCRIBE', ['--csv', 'psubscribe', 'n*'], 2, 3],
    ['SSUBSCRIBE', ['--csv', 'ssubscribe', 'news'], 2, 3],
    ['SUBSCRIBE -3', ['-3', '--json', 'subscribe', 'news', 'sport'], 3, 5],
  ] as const)('%s', async (_, args, ready, total) => {
    const on = (port: number) =>
      heard(
        port,
        args,
        ready,
        (soFar) => lines(soFar).length >= total,
        async () => {
          await cli(port, ['publish', 'news', 'one'])
          await cli(port, ['publish', 'sport', 'zwei "x"'])
          await cli(port, ['spublish', 'news', 'sharded'])
        },
      )
    const straight = await on(stage.redis.port)
    expect(await on(stage.proxy.port)).toEqual(straight)
    expect(straight.length).toBeGreaterThanOrEqual(total)
  })

  test('MONITOR shows what the tenant’s clients do, and no one else', async () => {
    const on = async (port: number) => {
      await stage.redis.call('FLUSHALL')
      const seen = await heard(
        port,
        ['monitor'],
        1,
        (soFar) => soFar.includes('"end"'),
        async () => {
          if (port === stage.proxy.port) await (await stage.proxy.client('analytics-app')).call('SET', 'theirs', 'x')
          await cli(port, [], { input: 'SET k "v\\"\\r\\n\\x00"\nLPUSH k x\nGET none\nECHO end\n' })
        },
      )
      // The time and the address are each side's own; so are commands that the proxy itself sends to the server.
      return seen
        .map((line) => line.replace(/^\d+\.\d+ \[0 [\d.:]+\] /, '[0] '))
        .filter((line) => /^OK$|("(SET|LPUSH|GET)"|"end"$)/i.test(line))
    }
    const straight = await on(stage.redis.port)
    expect(await on(stage.proxy.port)).toEqual(straight)
  })
})

describe('a session on standard input', () => {
  test.each([
    ['as it comes', []],
    ['-3', ['-3']],
    ['--no-raw', ['--no-raw']],
    ['-c, as clients of a cluster do', ['-c']],
  ])('with transactions and commands that block, %s', async (_, flags) => {
    const input = [
      ...[
        'MULTI',
        'SET k 1',
        'INCR k',
        'LPUSH k x',
        'GET k',
        'EXEC',
        'MULTI',
        'NOPE',
        'EXEC',
        'MULTI',
        'SET k 2',
        'DISCARD',
      ],
      ...['EXEC', 'DISCARD', 'WATCH k', 'MULTI', 'WATCH k', 'GET k', 'EXEC', 'UNWATCH', 'EXEC x', 'GET k'],
      ...['RPUSH l a b', 'BLPOP none l 1', 'BRPOP none 0.02', 'BLMOVE l m LEFT RIGHT 1', 'BLMPOP 1 2 l m LEFT COUNT 5'],
      ...['ZADD z 1.5 m', 'BZPOPMIN z 1', 'BZPOPMAX z 0.02', 'XADD s 1-1 f v', 'XREAD BLOCK 20 STREAMS s 0'],
      ...['XREAD BLOCK 20 STREAMS s $', 'BLPOP l x', 'WAIT 0 0', ''],
    ].join('\n')
    const { straight, through } = await bothWays(flags, { input, empty: true })
    expect(through).toEqual(straight)
    expect(straight.stdout.length).toBeGreaterThan(200)
  })

  test('--pipe with transactions in it', async () => {
    const input = Array.from({ length: 500 }, (_, i) => `MULTI\r\nSET k${i} v\r\nINCR n\r\nEXEC\r\n`).join('')
    const { straight, through } = await bothWays(['--pipe'], { input, empty: true })
    expect(through).toEqual(straight)
    expect(through.stdout).toContain('errors: 0, replies: 2000')
    expect(await stage.redis.call('GET', `${prefix}n`)).toBe('500')
  })

  test('FLUSHALL, DBSIZE, KEYS, RANDOMKEY', async () => {
    const input = [
      'DBSIZE',
      'FLUSHALL',
      'DBSIZE',
      'KEYS *',
      'RANDOMKEY',
      'SET only 1',
      'RANDOMKEY',
      'KEYS o*',
      'DBSIZE',
      '',
    ].join('\n')
    const { straight, through } = await bothWays([], { input })
    expect(through).toEqual(straight)
    expect(await stage.redis.call('EXISTS', 'analytics:1')).toBe(1)
  })
})
