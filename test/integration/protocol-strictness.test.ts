/**
 * What exactly a client hears for every kind of broken, odd and well-formed byte sequence, and whether the connection
 * ends. Each sequence is sent whole, byte by byte and cut at random places, and to a real Redis too: there the class of
 * each reply (ok, code of the error, end of the connection) must be the same, except where a row says why it is not.
 */
import { converse, cutAt, type Heard, randomFrom } from '../kit/exchange.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, decode, ErrorReply } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

interface Row {
  readonly name: string
  readonly send: string | Buffer
  /** Exact bytes that come back. */
  readonly hears: string | RegExp
  readonly closes?: true
  /** Sent without logging in first. */
  readonly unauthenticated?: true
  /** Nothing is sent behind it: what it breaks depends on its having no end. */
  readonly endless?: true
  /** Where Redis does something else: its classes, undefined when it would only wait for more. `why` is for the reader. */
  readonly redis?: { readonly classes: string | undefined; readonly why: string }
}

const error = (text: string): string => `-${text}\r\n`
const protocol = (text: string): string => error(`ERR Protocol error: ${text}`)
const noAuthHello =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time'
const lenient = (why: string, classes = 'ok') => ({ redis: { classes, why } })

const rows: readonly Row[] = [
  // Counts
  { name: 'a count that is no number', send: '*abc\r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'a count above int32', send: '*2147483648\r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'a count above the cap', send: '*1048577\r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'a count with a zero in front', send: '*01\r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'a count with a plus', send: '*+1\r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'a count with a blank', send: '*1 \r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'an empty count', send: '*\r\n', hears: protocol('invalid multibulk length'), closes: true },
  { name: 'minus zero', send: '*-0\r\n', hears: protocol('invalid multibulk length'), closes: true },
  {
    name: 'lines that end in LF alone',
    send: '*1\n$4\nPING\n',
    hears: protocol('invalid multibulk length'),
    closes: true,
  },
  {
    name: 'a count that ends in CR and something',
    send: '*1\rX$4\r\nPING\r\n',
    hears: protocol('invalid multibulk length'),
    closes: true,
    ...lenient('Redis skips two bytes after the number, whatever they are'),
  },
  { name: 'a bulk length below zero', send: '*1\r\n$-1\r\n', hears: protocol('invalid bulk length'), closes: true },
  {
    name: 'a bulk length that is no number',
    send: '*1\r\n$abc\r\n',
    hears: protocol('invalid bulk length'),
    closes: true,
  },
  {
    name: 'a bulk length of ten digits',
    send: '*1\r\n$9999999999\r\n',
    hears: protocol('invalid bulk length'),
    closes: true,
  },
  {
    name: 'a bulk length above the limit',
    send: '*1\r\n$536870913\r\n',
    hears: protocol('invalid bulk length'),
    closes: true,
  },
  {
    name: 'a bulk length with a zero in front',
    send: '*1\r\n$04\r\nPING\r\n',
    hears: protocol('invalid bulk length'),
    closes: true,
  },
  {
    name: 'a nested array',
    send: '*1\r\n*1\r\n$4\r\nPING\r\n',
    hears: protocol("expected '$', got '*'"),
    closes: true,
  },
  { name: 'an integer for an argument', send: '*1\r\n:1\r\n', hears: protocol("expected '$', got ':'"), closes: true },
  { name: 'a RESP3 map for an argument', send: '*1\r\n%1\r\n', hears: protocol("expected '$', got '%'"), closes: true },
  {
    name: 'no CRLF after a bulk',
    send: '*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n',
    hears: protocol('expected CRLF after bulk'),
    closes: true,
    ...lenient('Redis skips two bytes after a bulk, whatever they are', 'ok ok'),
  },
  {
    name: 'a bulk that is longer than it says',
    send: '*2\r\n$4\r\nECHO\r\n$2\r\nabc\r\n',
    hears: protocol('expected CRLF after bulk'),
    closes: true,
    ...lenient('Redis answers `ab` and skips two bytes'),
  },
  // 64 KiB without an end
  {
    name: '64 KiB of inline',
    endless: true,
    send: 'a'.repeat(65_600),
    hears: protocol('too big inline request'),
    closes: true,
  },
  {
    name: '64 KiB of count',
    endless: true,
    send: `*${'1'.repeat(65_600)}`,
    hears: protocol('too big mbulk count string'),
    closes: true,
  },
  {
    name: '64 KiB of bulk length',
    endless: true,
    send: `*1\r\n$${'1'.repeat(65_600)}`,
    hears: protocol('too big bulk count string'),
    closes: true,
  },
  // Other protocols
  { name: 'POST', send: 'POST / HTTP/1.1\r\nHost: a\r\n\r\n', hears: '', closes: true },
  {
    name: 'GET of a browser',
    send: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    hears: error("ERR wrong number of arguments for 'get' command"),
    closes: true,
    redis: { classes: 'close', why: 'Redis closes before it has written the first answer' },
  },
  {
    name: 'a TLS hello on a plain port',
    send: Buffer.from('160301020001000001fc03030d0a', 'hex'),
    hears: '',
    closes: true,
    redis: { classes: undefined, why: 'Redis waits for the end of an inline command' },
  },
  // No command at all
  { name: 'an empty array', send: '*0\r\n', hears: '' },
  { name: 'a negative array', send: '*-5\r\n', hears: '' },
  { name: 'empty lines', send: '\r\n\n\r\n', hears: '' },
  // Commands that are none
  {
    name: 'an unknown command',
    send: command('FOO', 'a', 'b'),
    hears: error("ERR unknown command 'FOO', with args beginning with: 'a' 'b' "),
  },
  {
    name: 'an unknown command with CRLF in it',
    send: command('FO\r\nO', 'a\r\n-ERR b'),
    hears: error("ERR unknown command 'FO  O', with args beginning with: 'a  -ERR b' "),
  },
  {
    name: 'an unknown command with long arguments',
    send: command('FOO', 'a'.repeat(100), 'b'.repeat(100), 'c'),
    hears: error(`ERR unknown command 'FOO', with args beginning with: '${'a'.repeat(100)}' '${'b'.repeat(25)}' `),
  },
  {
    name: 'a command without a name',
    send: '*1\r\n$0\r\n\r\n',
    hears: error("ERR unknown command '', with args beginning with: "),
  },
  { name: 'too few arguments', send: command('GET'), hears: error("ERR wrong number of arguments for 'get' command") },
  {
    name: 'too many arguments',
    send: command('get', 'a', 'b'),
    hears: error("ERR wrong number of arguments for 'get' command"),
  },
  {
    name: 'too many arguments of a subcommand',
    send: command('CLIENT', 'GETNAME', 'x'),
    hears: error("ERR wrong number of arguments for 'client|getname' command"),
  },
  {
    name: 'a container alone',
    send: command('CLIENT'),
    hears: error("ERR wrong number of arguments for 'client' command"),
  },
  {
    name: 'an unknown subcommand',
    send: command('CLIENT', 'NOPE'),
    hears: error("ERR unknown subcommand 'NOPE'. Try CLIENT HELP."),
  },
  {
    name: 'PING with two arguments',
    send: command('PING', 'a', 'b'),
    hears: error("ERR wrong number of arguments for 'ping' command"),
  },
  {
    name: 'SELECT of a database that is not there',
    send: command('SELECT', '1'),
    hears: error('ERR DB index is out of range'),
  },
  {
    name: 'SELECT of no number',
    send: command('SELECT', 'a'),
    hears: error('ERR value is not an integer or out of range'),
  },
  { name: 'HELLO 4', send: command('HELLO', '4'), hears: error('NOPROTO unsupported protocol version') },
  {
    name: 'HELLO of no number',
    send: command('HELLO', 'three'),
    hears: error('ERR Protocol version is not an integer or out of range'),
  },
  {
    name: 'HELLO with an unknown option',
    send: command('HELLO', '3', 'NOPE'),
    hears: error("ERR Syntax error in HELLO option 'NOPE'"),
  },
  { name: 'AUTH with three arguments', send: command('AUTH', 'a', 'b', 'c'), hears: error('ERR syntax error') },
  {
    name: 'a wrong password',
    send: command('AUTH', 'shop-app', 'nope'),
    hears: error('WRONGPASS invalid username-password pair or user is disabled.'),
  },
  {
    name: 'an unknown user',
    send: command('AUTH', 'nobody', 'demo'),
    hears: error('WRONGPASS invalid username-password pair or user is disabled.'),
  },
  // Inline
  { name: 'an inline PING', send: 'PING\r\n', hears: '+PONG\r\n' },
  { name: 'an inline PING with LF alone', send: 'ping\n', hears: '+PONG\r\n' },
  { name: 'inline blanks', send: '  ECHO \t a  \r\n', hears: '$1\r\na\r\n' },
  { name: 'inline double quotes', send: 'ECHO "a b\\x41\\n\\""\r\n', hears: '$6\r\na bA\n"\r\n' },
  { name: 'inline single quotes', send: "ECHO 'it\\'s \\n'\r\n", hears: "$7\r\nit's \\n\r\n" },
  {
    name: 'inline SET and GET',
    send: 'SET in:1 "x y"\r\nGET in:1\r\nDEL in:1\r\n',
    hears: '+OK\r\n$3\r\nx y\r\n:1\r\n',
  },
  { name: 'an open quote', send: 'SET a "b\r\n', hears: protocol('unbalanced quotes in request'), closes: true },
  {
    name: 'something right after a quote',
    send: 'ECHO "a"b\r\n',
    hears: protocol('unbalanced quotes in request'),
    closes: true,
  },
  {
    name: 'inline and arrays in turn',
    send: `PING\r\n${command('ECHO', 'a')}ECHO b\r\n`,
    hears: '+PONG\r\n$1\r\na\r\n$1\r\nb\r\n',
  },
  // Order
  {
    name: 'replies before a protocol error',
    send: `${command('SET', 'o:1', 'v')}${command('GET', 'o:1')}${command('PING')}*x\r\n`,
    hears: `+OK\r\n$1\r\nv\r\n+PONG\r\n${protocol('invalid multibulk length')}`,
    closes: true,
  },
  {
    name: 'nothing after a protocol error',
    send: `*x\r\n${command('PING')}`,
    hears: protocol('invalid multibulk length'),
    closes: true,
  },
  {
    name: 'QUIT in a pipeline',
    send: `${command('GET', 'o:none')}${command('QUIT')}${command('PING')}`,
    hears: '$-1\r\n+OK\r\n',
    closes: true,
  },
  {
    name: 'local answers among others',
    send: `${command('GET', 'o:none')}${command('ECHO', 'e')}${command('NOPE')}${command('GET', 'o:none')}${command('PING')}`,
    hears: `$-1\r\n$1\r\ne\r\n${error("ERR unknown command 'NOPE', with args beginning with: ")}$-1\r\n+PONG\r\n`,
  },
  // Modes
  {
    name: 'RESET forgets the login',
    send: `${command('RESET')}${command('GET', 'a')}`,
    hears: `+RESET\r\n${error('NOAUTH Authentication required.')}`,
  },
  {
    name: 'HELLO 3 and back in a pipeline',
    send: `${command('HELLO', '3')}${command('GET', 'none')}${command('HELLO', '2')}${command('GET', 'none')}`,
    hears: /^%7\r\n[\s\S]*_\r\n\*14\r\n[\s\S]*\$-1\r\n$/,
  },
  {
    name: 'CLIENT REPLY SKIP hides one reply',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('GET', 'none')}${command('ECHO', 'b')}`,
    hears: '$1\r\nb\r\n',
  },
  {
    name: 'CLIENT REPLY SKIP hides the reply of a read before a write',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('GET', 'none')}${command('DEL', 'none')}${command('ECHO', 'b')}`,
    hears: ':0\r\n$1\r\nb\r\n',
  },
  {
    name: 'CLIENT REPLY SKIP hides one local reply',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('PING')}${command('ECHO', 'b')}`,
    hears: '$1\r\nb\r\n',
  },
  {
    name: 'CLIENT REPLY SKIP hides one error',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('NOPE')}${command('ECHO', 'b')}`,
    hears: '$1\r\nb\r\n',
  },
  {
    name: 'CLIENT REPLY SKIP hides its own error',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('CLIENT', 'REPLY', 'NOPE')}${command('ECHO', 'b')}`,
    hears: '$1\r\nb\r\n',
  },
  {
    name: 'CLIENT REPLY SKIP twice',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('CLIENT', 'REPLY', 'SKIP')}${command('PING')}${command('ECHO', 'b')}`,
    hears: '$1\r\nb\r\n',
  },
  {
    name: 'RESET after CLIENT REPLY SKIP',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('RESET')}${command('GET', 'a')}`,
    hears: error('NOAUTH Authentication required.'),
  },
  {
    name: 'RESET after CLIENT REPLY OFF',
    send: `${command('CLIENT', 'REPLY', 'OFF')}${command('RESET')}${command('GET', 'a')}`,
    hears: `+RESET\r\n${error('NOAUTH Authentication required.')}`,
  },
  {
    name: 'CLIENT REPLY OFF and ON',
    send: `${command('CLIENT', 'REPLY', 'OFF')}${command('SET', 'm:1', 'v')}${command('PING')}${command('NOPE')}${command('GET', 'm:1')}${command('CLIENT', 'REPLY', 'ON')}${command('GET', 'm:1')}`,
    hears: '+OK\r\n$1\r\nv\r\n',
  },
  {
    name: 'CLIENT REPLY ON after SKIP',
    send: `${command('CLIENT', 'REPLY', 'SKIP')}${command('CLIENT', 'REPLY', 'ON')}${command('ECHO', 'b')}`,
    hears: '+OK\r\n$1\r\nb\r\n',
  },
  // Before AUTH
  {
    name: 'a command before AUTH',
    send: command('GET', 'a'),
    hears: error('NOAUTH Authentication required.'),
    unauthenticated: true,
  },
  {
    name: 'PING before AUTH',
    send: command('PING'),
    hears: error('NOAUTH Authentication required.'),
    unauthenticated: true,
  },
  {
    name: 'an unknown command before AUTH',
    send: command('NOPE'),
    hears: error("ERR unknown command 'NOPE', with args beginning with: "),
    unauthenticated: true,
  },
  { name: 'HELLO 3 before AUTH', send: command('HELLO', '3'), hears: error(noAuthHello), unauthenticated: true },
  {
    name: 'HELLO 4 before AUTH',
    send: command('HELLO', '4'),
    hears: error('NOPROTO unsupported protocol version'),
    unauthenticated: true,
  },
  {
    name: 'HELLO with a wrong password',
    send: command('HELLO', '3', 'AUTH', 'shop-app', 'nope'),
    hears: error('WRONGPASS invalid username-password pair or user is disabled.'),
    unauthenticated: true,
  },
  { name: 'QUIT before AUTH', send: command('QUIT'), hears: '+OK\r\n', closes: true, unauthenticated: true },
  {
    name: 'eleven arguments before AUTH',
    send: '*11\r\n',
    hears: protocol('unauthenticated multibulk length'),
    closes: true,
    unauthenticated: true,
  },
  {
    name: 'ten arguments before AUTH',
    send: command(...'PING 1 2 3 4 5 6 7 8 9'.split(' ')),
    hears: error('NOAUTH Authentication required.'),
    unauthenticated: true,
  },
  {
    name: 'a long argument before AUTH',
    send: '*1\r\n$16385\r\n',
    hears: protocol('unauthenticated bulk length'),
    closes: true,
    unauthenticated: true,
  },
  {
    name: 'an argument of 16384 bytes before AUTH',
    send: command('GET', 'k'.repeat(16_384)),
    hears: error('NOAUTH Authentication required.'),
    unauthenticated: true,
  },
  {
    name: 'an inline command of many words before AUTH',
    send: `GET ${'w '.repeat(20)}\r\n`,
    hears: error("ERR wrong number of arguments for 'get' command"),
    unauthenticated: true,
  },
  {
    name: 'a long inline word before AUTH',
    send: `GET ${'w'.repeat(20_000)}\r\n`,
    hears: error('NOAUTH Authentication required.'),
    unauthenticated: true,
  },
]

const sentinel = 'kD93-sentinel'
const sentinelReply = `$${sentinel.length}\r\n${sentinel}\r\n`

/** `ok error:ERR close`: what a client library would see. */
function classes(heard: Heard): string {
  const bytes = Buffer.from(heard.bytes, 'latin1')
  const words: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const found = decode(bytes, at)
    if (found === undefined) return [...words, 'cut'].join(' ')
    words.push(found.reply instanceof ErrorReply ? `error:${found.reply.message.split(' ', 1)[0]}` : 'ok')
    at = found.end
  }
  if (heard.isClosed) words.push('close')
  return words.join(' ')
}

describe('protocol strictness', () => {
  let proxy: StartedProxy
  let realPort = 0
  const random = randomFrom(Number(process.env['SEED'] ?? 7))

  beforeAll(async () => {
    const node = await startRedis()
    // The same login, a password for everybody else.
    const real = await startRedis({
      args: ['--requirepass', 'other', '--user', 'shop-app', 'on', '>demo', '~*', '&*', '+@all'],
    })
    realPort = real.port
    proxy = await startProxy(
      {
        region: 'eu-west',
        primary: 'eu-west',
        regions: { 'eu-west': { nodes: [node.url] } },
        tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
        limits: { auth_failures: '0/m' },
      },
      { env: { REGIS_PARANOID: '1' } },
    )
  })

  /** The row's bytes in these pieces, then a command whose reply says that nothing more was to come. */
  async function hear(port: number, row: Row, pieces: readonly (Buffer | string)[]): Promise<Heard> {
    const isOff = row.unauthenticated === true || row.name.includes('RESET')
    // An unauthenticated connection answers an unknown command by name.
    const last = isOff ? command(sentinel) : command('ECHO', sentinel)
    const until = isOff ? `-ERR unknown command '${sentinel}', with args beginning with: \r\n` : sentinelReply
    const client = await RawClient.open(port)
    try {
      if (row.unauthenticated !== true) expect(await client.call('AUTH', 'shop-app', 'demo')).toBe('OK')
      return await converse(client.socket, [...pieces, ...(row.endless === true ? [] : [last])], { until })
    } finally {
      client.close()
    }
  }

  test.each(rows)('$name', async (row) => {
    const bytes = Buffer.isBuffer(row.send) ? row.send : Buffer.from(row.send, 'latin1')
    const cuts = [
      [],
      ...Array.from({ length: 4 }, () =>
        Array.from({ length: 1 + random() * 5 }, () => 1 + Math.floor(random() * bytes.length)),
      ),
    ]
    if (bytes.length < 1_000) cuts.push(Array.from(bytes.keys()))
    const heard: Heard[] = []
    for (const offsets of cuts) heard.push(await hear(proxy.port, row, cutAt(bytes, offsets)))
    for (const one of heard) {
      if (typeof row.hears === 'string') expect(one).toEqual({ bytes: row.hears, isClosed: row.closes === true })
      else expect(one).toEqual({ bytes: expect.stringMatching(row.hears), isClosed: row.closes === true })
    }
    if (row.redis !== undefined && row.redis.classes === undefined) return
    const real = await hear(realPort, row, [bytes])
    expect(classes(real)).toBe(row.redis?.classes ?? classes(heard[0]!))
    if (row.redis !== undefined) expect(row.redis.classes).not.toBe(classes(heard[0]!)) // else the row says too much
  })
})
