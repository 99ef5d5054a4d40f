/** redis-cli as Debian ships it, straight to Redis and through Regis: the same lines, the same exit codes. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { ErrorReply } from '../kit/resp.ts'
import { greet } from './differential.ts'
import { refusal, refused } from './library.ts'
import { password, type Stage, startStage, user } from './stage.ts'
import { type Run, type RunOptions, run, tools } from './tools.ts'

let stage: Stage
let redisCli: string
beforeAll(async () => {
  stage = await startStage()
  ;({ redisCli } = await tools())
})

const login = ['--user', user, '--pass', password, '--no-auth-warning']
const cli = (port: number, args: readonly string[], options?: RunOptions) =>
  run(redisCli, ['-p', String(port), ...args], options)

/** The same invocations on both sides, each side on an empty keyspace. Ports in the output become PORT. */
async function bothWays(invocations: readonly (readonly string[])[], options?: RunOptions) {
  const on = async (port: number): Promise<Run[]> => {
    await stage.redis.call('FLUSHALL')
    const runs: Run[] = []
    for (const args of invocations) {
      const { code, stdout, stderr } = await cli(port, args, options)
      const plain = (text: string) => text.replaceAll(String(port), 'PORT')
      runs.push({ code, stdout: plain(stdout), stderr: plain(stderr) })
    }
    return runs
  }
  return { straight: await on(stage.redis.port), through: await on(stage.proxy.port) }
}

const some = [
  'RPUSH l a b',
  'HSET h f v g 2.5',
  'SET k "\\x00\\xff \\"quoted\\""',
  'ZADD z 1.5 m',
  'SADD s 1 2',
  'SETBIT b 0 1',
]
const reads = [
  ...['GET k', 'GET none', 'LRANGE l 0 -1', 'HGETALL h', 'ZRANGE z 0 -1 WITHSCORES', 'SMEMBERS s', 'STRLEN k', 'TTL k'],
  ...[
    'INCR l',
    'NOPE a',
    'GET',
    'OBJECT ENCODING l',
    'XADD x 1-1 a b',
    'XREAD STREAMS x 0',
    'LRANGE none 0 -1',
    'ZSCORE z m',
  ],
  ...[
    'LMPOP 1 l LEFT',
    'XREADGROUP GROUP g c STREAMS x >',
    'EXISTS k l',
    'TYPE z',
    'COMMAND GETKEYS SET a b',
    'PING',
    'ECHO "a b"',
  ],
]
const session = [...some, ...reads, ''].join('\n')

describe('a session on standard input', () => {
  test.each([
    ['as it comes', []],
    ['-2', ['-2']],
    ['-3', ['-3']],
    ['--no-raw', ['--no-raw']],
    ['--no-raw -3', ['--no-raw', '-3']],
    ['--csv', ['--csv']],
    ['--json', ['--json']],
    ['--quoted-json -2', ['--quoted-json', '-2']],
    ['-d , -D ;', ['-d', ',', '-D', ';']],
    ['--show-pushes yes', ['-3', '--show-pushes', 'yes']],
    ['-e', ['-e']],
  ])('%s', async (_, flags) => {
    const { straight, through } = await bothWays([[...login, ...flags]], { input: session })
    expect(through).toEqual(straight)
    expect(straight[0]!.stdout.length).toBeGreaterThan(200)
  })

  test('that logs in, changes the protocol, names itself and goes on after errors', async () => {
    const input = [
      ...['GET k', `AUTH ${user} ${password}`, 'SET k v', 'HSET h a 1', 'HELLO 3', 'HGETALL h', 'HELLO 2', 'HGETALL h'],
      ...[
        'HELLO 4',
        'CLIENT SETNAME me',
        'CLIENT GETNAME',
        'AUTH nobody x',
        'GET k',
        'SELECT 0',
        '"',
        'GET k',
        'QUIT',
        '',
      ],
    ].join('\n')
    await stage.redis.call('ACL', 'SETUSER', 'default', 'resetpass', '>other')
    const control = await greet(stage.redis.port, 2, user)
    // The id of the connection, in HELLO's reply: each side counts its own.
    const withoutId = ({ stdout }: Run) => stdout.replace(/^id[ \n]\d+$/gm, 'id')
    const outputs: string[] = []
    for (const port of [stage.redis.port, stage.proxy.port]) {
      await control.call('FLUSHALL')
      outputs.push(withoutId(await cli(port, [], { input })))
    }
    await control.call('ACL', 'SETUSER', 'default', 'nopass')
    expect(outputs[1]).toBe(outputs[0])
    expect(outputs[1]).toContain('NOAUTH Authentication required.')
    expect(outputs[1]).toContain('WRONGPASS')
  })
})

describe('one command a call', () => {
  test.each<[string, string[][]]>([
    [
      'values and exit codes',
      [['set', 'k', 'v'], ['get', 'k'], ['incr', 'k'], ['get', 'none'], ['-e', 'incr', 'k'], ['nope']],
    ],
    [
      '-3',
      [
        ['-3', 'hset', 'h', 'a', '1'],
        ['-3', 'hgetall', 'h'],
        ['-3', 'zadd', 'z', '1', 'a'],
        ['-3', 'zpopmin', 'z'],
      ],
    ],
    [
      '--no-raw',
      [
        ['--no-raw', 'rpush', 'l', 'a', '"'],
        ['--no-raw', 'lrange', 'l', '0', '-1'],
        ['--no-raw', 'get', 'none'],
      ],
    ],
    [
      '-r and -i',
      [
        ['-r', '5', 'incr', 'n'],
        ['-r', '2', '-i', '0.01', 'ping'],
      ],
    ],
    [
      '-n 0',
      [
        ['-n', '0', 'set', 'k', 'v'],
        ['-n', '0', 'get', 'k'],
      ],
    ],
    [
      '--quoted-input',
      [
        ['--quoted-input', 'set', '"a\\x00b"', '"\\r\\n"'],
        ['--quoted-input', 'strlen', '"a\\x00b"'],
      ],
    ],
    [
      'empty names and unicode',
      [
        ['set', '', ''],
        ['strlen', ''],
        ['set', 'köln', '🦊'],
        ['get', 'köln'],
      ],
    ],
    [
      'help',
      [
        ['help', 'get'],
        ['help', 'xadd'],
        ['help', 'nope'],
      ],
    ],
  ])('%s', async (_, invocations) => {
    const { straight, through } = await bothWays(invocations.map((args) => [...login, ...args]))
    expect(through).toEqual(straight)
  })

  test('-x takes the last argument, -X any, from standard input, a megabyte and binary too', async () => {
    const big = Buffer.alloc(1024 * 1024, 'x\0\r\n')
    const { straight, through } = await bothWays([[...login, '-x', 'set', 'k']], { input: big })
    expect(through).toEqual(straight)
    expect(await stage.redis.call('STRLEN', 'shop:k')).toBe(big.length)
    const tagged = await bothWays([[...login, '-X', 'tag', 'set', 'tag', 'v']], { input: 'name\r\n' })
    expect(tagged.through).toEqual(tagged.straight)
    const read = await bothWays(
      [
        [...login, '-x', 'set', 'k'],
        [...login, 'get', 'k'],
      ],
      { input: '\0\r\n' },
    )
    expect(read.through).toEqual(read.straight)
  })

  test('every way to log in', async () => {
    const at = (port: number) => [
      cli(port, ['--user', user, '--pass', password, 'echo', '1']),
      cli(port, ['--user', user, '-a', password, 'echo', '2']),
      cli(port, ['--user', user, 'echo', '3'], { env: { REDISCLI_AUTH: password } }),
      run(redisCli, ['-u', `redis://${user}:${password}@127.0.0.1:${port}`, 'echo', '4']),
      run(redisCli, ['-u', `redis://${user}:${password}@127.0.0.1:${port}/0`, 'echo', '5']),
      cli(port, ['-h', '127.0.0.1', ...login, '-3', 'echo', '6']),
    ]
    const straight = await Promise.all(at(stage.redis.port))
    expect(await Promise.all(at(stage.proxy.port))).toEqual(straight)
    expect(straight.map(({ code, stdout }) => [code, stdout.trim()])).toEqual(
      [1, 2, 3, 4, 5, 6].map((i) => [0, String(i)]),
    )
  })

  test('a wrong password and no login say what Redis says', async () => {
    const wrong = await cli(stage.proxy.port, ['--user', user, '--pass', 'no', 'get', 'k'])
    expect(wrong.stderr).toContain('AUTH failed: WRONGPASS invalid username-password pair or user is disabled.')
    expect(wrong.stdout).toContain('NOAUTH Authentication required.')
    const none = await cli(stage.proxy.port, ['get', 'k'])
    expect(none.stdout).toContain('NOAUTH Authentication required.')
    const straight = await cli(stage.redis.port, ['--user', user, '--pass', 'no', 'get', 'k'])
    expect(wrong.stderr).toBe(straight.stderr)
  })

  test('-n 1 is refused, since a tenant has one database, and says so', async () => {
    const { code, stdout, stderr } = await cli(stage.proxy.port, [...login, '-n', '1', 'ping'])
    expect(stderr).toBe('SELECT 1 failed: ERR DB index is out of range\n')
    expect([code, stdout]).toEqual([0, 'PONG\n'])
    // The same words as of a Redis that has no such database.
    expect((await cli(stage.redis.port, [...login, '-n', '77', 'ping'])).stderr).toBe(stderr.replace(' 1 ', ' 77 '))
  })
})

test('--pipe: 10,000 commands in one go, errors counted, each done once', async () => {
  const commands: string[] = []
  for (let i = 0; i < 2500; i++) {
    commands.push(
      `SET k${i} v${i}`,
      `*2\r\n$4\r\nINCR\r\n$1\r\nn`,
      `RPUSH l ${i}`,
      i % 500 === 0 ? 'NOPE x' : `HSET h f${i} ${i}`,
    )
  }
  const input = commands.map((line) => `${line}\r\n`).join('')
  const { straight, through } = await bothWays([[...login, '--pipe']], { input })
  expect(through).toEqual(straight)
  expect(through[0]!.stdout).toContain('errors: 5, replies: 10000')
  expect(await stage.redis.call('GET', 'shop:n')).toBe('2500')
  expect(await stage.redis.call('LLEN', 'shop:l')).toBe(2500)
  expect(await stage.redis.call('HLEN', 'shop:h')).toBe(2495)
  expect(await stage.redis.call('DBSIZE')).toBe(2503)
})

test('--latency measures, and gives its one line', async () => {
  const args = [...login, '--latency', '-i', '0.3']
  for (const { code, stdout } of await Promise.all([cli(stage.redis.port, args), cli(stage.proxy.port, args)])) {
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+ \d+ \d+\.\d+ [1-9]\d*\s*$/)])
  }
})

test('--scan and --bigkeys find what they find in a Redis that the tenant has alone', async () => {
  const fill = await cli(stage.redis.port, login, { input: 'FLUSHALL\n' })
  expect(fill.code).toBe(0)
  const at = async (port: number): Promise<string[]> => {
    await stage.redis.call('FLUSHALL')
    const lines = Array.from({ length: 50 }, (_, i) => `SET key:${i} ${'x'.repeat(i + 1)}`)
    await cli(port, login, { input: [...lines, 'RPUSH list a b c', 'HSET hash f v', 'SADD set a', ''].join('\n') })
    if (port === stage.proxy.port) await stage.redis.call('MSET', 'analytics:a', 'x'.repeat(900), 'shopping:b', '1')
    const scan = await cli(port, [...login, '--scan', '--pattern', 'key:*'])
    const big = await cli(port, [...login, '--bigkeys'])
    // The order in which keys are met is that of the server's table; what is found is not.
    const summary = big.stdout.slice(big.stdout.indexOf('-------- summary'))
    const memory = await cli(port, [...login, '--memkeys'])
    expect([scan.code, big.code, memory.code]).toEqual([0, 0, 0])
    expect(memory.stdout).toContain('Sampled 53 keys in the keyspace!')
    return [...scan.stdout.split('\n').sort(), ...summary.split('\n').sort()]
  }
  expect(await at(stage.proxy.port)).toEqual(await at(stage.redis.port))
})

test('what it asks as a replica is refused in Redis’s words', async () => {
  const rdb = await cli(stage.proxy.port, [...login, '--rdb', '/dev/null'], { timeoutMs: 5000 })
  expect(rdb.code).toBe(1)
  expect(rdb.stderr).toContain(`SYNC with master failed: -${refusal('sync')}`)
})

test('what is refused today is refused in Redis’s words, and the session goes on', async () => {
  // redis-cli itself turns into a replica on SYNC.
  const tried = refused.filter(([, name]) => name !== 'sync')
  const input = tried
    .flatMap(([argv, name]) => [argv.map((arg) => `"${arg}"`).join(' '), `ECHO after-${name}`])
    .join('\n')
  const { stdout } = await cli(stage.proxy.port, login, { input: `${input}\n` })
  const lines = stdout.split('\n').filter((line) => line !== '')
  expect(lines).toEqual(tried.flatMap(([, name]) => [refusal(name), `after-${name}`]))
})

describe('at a terminal', () => {
  const script = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .some((folder) => existsSync(path.join(folder, 'script')))
  const isLinux = process.platform === 'linux'

  test('COMMAND DOCS, which it asks for first, is what Redis says of what a tenant may use', async () => {
    for (const resp of [2, 3] as const) {
      const docsOf = async (port: number) => {
        const client = await greet(port, resp, user)
        const reply = await client.call('COMMAND', 'DOCS')
        if (reply instanceof ErrorReply) throw new Error(reply.message)
        const flat = reply instanceof Map ? [...reply].flat() : (reply as unknown[])
        return new Map(flat.flatMap((entry, i) => (i % 2 === 0 ? [[String(entry), flat[i + 1]] as const] : [])))
      }
      const [straight, through] = [await docsOf(stage.redis.port), await docsOf(stage.proxy.port)]
      expect(through.size).toBeGreaterThan(150)
      for (const hidden of ['eval', 'debug', 'shutdown']) expect(through.has(hidden)).toBe(false)
      for (const name of ['get', 'zadd', 'xreadgroup', 'sort'])
        expect([name, through.get(name)]).toEqual([name, straight.get(name)])
    }
  })

  // Only util-linux's script takes -c; without it the answer above is what such a session stands on.
  const withTerminal = script && isLinux ? test : test.skip
  withTerminal('a session with hints and help reads the same', async () => {
    const typed = ['set k v', 'get k', 'hget k f', 'help getex', 'lmpop 1 none left', 'nope', '3 incr n', 'quit']
    const at = async (port: number): Promise<string> => {
      await stage.redis.call('FLUSHALL')
      const session = [redisCli, '-p', String(port), ...login].join(' ')
      let at = 0
      let prompts = 0
      const { stdout } = await run('script', ['-qec', `stty cols 200 rows 50; ${session}`, '/dev/null'], {
        // A line is typed when the prompt of its own has come, never ahead of the terminal's raw mode.
        onOutput: (soFar, type) => {
          const fresh = soFar.slice(at)
          if (!/:\d+> $/.test(fresh)) return
          at = soFar.length
          const line = typed[prompts++]
          if (line !== undefined) type(`${line}\r`)
        },
        timeoutMs: 10_000,
      })
      return stdout.replaceAll(String(port), 'PORT').replaceAll(/\x1b\[\d+C/g, '')
    }
    const straight = await at(stage.redis.port)
    expect(await at(stage.proxy.port)).toBe(straight)
    expect(straight).toContain('key value [NX|XX]')
    expect(straight).toContain('(integer) 3')
  })
})
