import { secondTriesBytesMax, secondTryBytesMax } from '../../../src/base/limits.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld } from '../request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')
const refused = "-READONLY You can't write against a read only replica.\r\n"

/** The primary has become a replica and says so; the other node is the primary as soon as `promote` is called. */
function world() {
  const it = buildWorld()
  it.replica.isReadable = false // reads are the primary's
  const demote = (): void => {
    it.tracker.primary = undefined
    it.lane(it.primary).isPrimary = false
  }
  const promote = (): void => {
    it.tracker.primary = it.replica
    for (const lane of it.pool.lanes) if (lane.nodeIndex === it.replica.index) lane.isPrimary = true
    it.path.secondTries.retry()
    it.path.waiting.resumeAll()
  }
  const counted = (result: string): number =>
    [...it.cells.readonlyResent.entries()].find(({ labels }) => labels[0] === result)?.value ?? 0
  /** Sends to the primary while it is one, which is then demoted. */
  const sent = (...commands: readonly (readonly string[])[]) => {
    const client = it.client('shop')
    client.send(...commands)
    it.sentTo(it.primary)
    demote()
    return client
  }
  return { ...it, demote, promote, counted, sent }
}

test('a refused write goes to the new primary, and the client hears only of that', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'])
  it.reply(it.primary, refused)
  expect(client.socket.text).toBe('')
  it.promote()
  expect(it.sentTo(it.replica)).toBe(text('SET', 'shop:a', '1'))
  it.reply(it.replica, '+OK\r\n')
  expect(client.socket.text).toBe('+OK\r\n')
  expect([client.session.inFlight, it.counted('resent'), it.counted('passed')]).toEqual([0, 1, 0])
})

test('what the client sent behind it goes again with it, in order, reads too; what came before does not', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'], ['SET', 'b', '2'], ['GET', 'b'], ['PING'], ['SET', 'c', '3'])
  it.reply(it.primary, `+OK\r\n${refused}$-1\r\n${refused}`)
  expect(client.socket.text).toBe('+OK\r\n')
  it.promote()
  expect(it.sentTo(it.replica)).toBe(text('SET', 'shop:b', '2') + text('GET', 'shop:b') + text('SET', 'shop:c', '3'))
  it.reply(it.replica, '+OK\r\n$1\r\n2\r\n')
  it.reply(it.replica, '+OK\r\n')
  expect(client.socket.text).toBe('+OK\r\n+OK\r\n$1\r\n2\r\n+PONG\r\n+OK\r\n')
})

test("others' commands on the same connection are theirs: only the refused client's go again", () => {
  const it = world()
  const [a, b] = [it.client('shop'), it.client('shop')]
  a.send(['SET', 'a', '1'])
  b.send(['GET', 'x'])
  a.send(['SET', 'a', '2'])
  b.send(['SET', 'b', '9'])
  it.sentTo(it.primary)
  it.demote()
  it.reply(it.primary, `${refused}$1\r\nx\r\n`)
  it.reply(it.primary, refused + refused)
  expect([a.socket.text, b.socket.text]).toEqual(['', '$1\r\nx\r\n'])
  it.promote()
  expect(it.sentTo(it.replica)).toBe(
    text('SET', 'shop:a', '1') + text('SET', 'shop:a', '2') + text('SET', 'shop:b', '9'),
  )
})

test('a write behind it that was executed keeps everything as it is: the refusal goes to the client', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'], ['SET', 'a', '2'])
  it.reply(it.primary, `${refused}+OK\r\n`)
  expect(client.socket.text).toBe(`${refused}+OK\r\n`)
  it.promote()
  expect([it.sentTo(it.replica), it.counted('passed')]).toEqual(['', 1])
})

test('a write behind it of unknown fate is never sent again, nor is the refused one', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'], ['SET', 'a', '2'])
  it.reply(it.primary, refused)
  it.lane(it.primary).destroy('lost')
  expect(client.socket.text).toMatch(/^-READONLY [^\r]*\r\n-UNCERTAIN /)
  it.promote()
  expect(it.sentTo(it.replica)).toBe('')
})

test('it is sent again once: a second refusal goes to the client', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'])
  it.reply(it.primary, refused)
  it.promote()
  it.reply(it.replica, refused)
  expect(client.socket.text).toBe(refused)
  it.path.secondTries.retry()
  expect(it.sentTo(it.replica)).toBe(text('SET', 'shop:a', '1'))
})

test('without a primary within the wait budget the refusal goes to the client, and the client goes on', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'])
  it.reply(it.primary, refused)
  client.send(['PING'])
  expect(client.socket.text).toBe('')
  for (const run of it.timers.splice(0)) run()
  it.path.waiting.resumeAll()
  expect(client.socket.text).toBe(`${refused}+PONG\r\n`)
  it.promote()
  expect(it.sentTo(it.replica)).toBe('')
})

test('what the client sends meanwhile comes behind', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'])
  it.reply(it.primary, refused)
  client.send(['SET', 'a', '2'], ['GET', 'a'])
  it.promote()
  expect(it.sentTo(it.replica)).toBe(text('SET', 'shop:a', '1') + text('SET', 'shop:a', '2') + text('GET', 'shop:a'))
})

test('a transaction is not sent again', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'], ['MULTI'], ['GET', 'b'], ['EXEC'])
  it.reply(it.primary, `${refused}+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n`)
  it.promote()
  expect(it.sentTo(it.replica)).toBe('')
  expect(client.socket.text).toContain(refused)
})

test('a client that has left is not spoken for', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'])
  it.reply(it.primary, refused)
  client.session.destroy('left')
  it.promote()
  expect(it.sentTo(it.replica)).toBe('')
})

test('a read that a replica refuses, and a refusal in a value, are no refused writes', () => {
  const it = world()
  const client = it.sent(['GET', 'a'], ['SET', 'b', '1'])
  it.reply(it.primary, `-READONLY strange\r\n+OK\r\n`)
  expect(client.socket.text).toBe('-READONLY strange\r\n+OK\r\n')
})

test('a client that leaves, or whose connection is lost, before its last reply is in leaves nothing behind', () => {
  const it = world()
  const left = it.sent(['SET', 'a', '1'], ['GET', 'b'])
  it.reply(it.primary, `${refused}$5\r\nh`)
  it.reply(it.primary, 'e') // what is cut waits for one more read
  expect(it.path.secondTries.counts).toEqual({ open: 1, keptBytes: refused.length + 6 })
  left.session.destroy('left')
  expect(it.path.secondTries.counts).toEqual({ open: 0, keptBytes: 0 })
  it.reply(it.primary, 'llo\r\n')
  expect(it.path.secondTries.counts).toEqual({ open: 0, keptBytes: 0 })
})

test('where a reply is too long to be kept, messages still come between replies', () => {
  const it = world()
  const client = it.sent(['SET', 'a', '1'], ['GET', 'b'])
  const [value, message] = ['x'.repeat(300_000), '>2\r\n+message\r\n+a\r\n']
  const reply = `$${value.length}\r\n${value}\r\n`
  it.reply(it.primary, refused)
  const pieces = Array.from({ length: Math.ceil(reply.length / 20_000) }, (_, i) =>
    reply.slice(i * 20_000, (i + 1) * 20_000),
  )
  while (client.socket.text === '') it.reply(it.primary, pieces.shift()!)
  expect(pieces.length).toBeGreaterThan(0)
  client.session.push(Buffer.from(message))
  client.session.flushPushes()
  for (const piece of pieces) it.reply(it.primary, piece)
  expect(client.socket.text).toBe(`${refused}${reply}${message}`)
  expect(it.path.secondTries.counts).toEqual({ open: 0, keptBytes: 0 })
})

test('what is kept for all clients together is bounded: above that replies are given as they came', () => {
  const it = world()
  const value = 'x'.repeat(secondTryBytesMax - 1024)
  const clients = Array.from({ length: Math.ceil(secondTriesBytesMax / value.length) + 1 }, () => it.client('shop'))
  for (const client of clients) client.send(['SET', 'a', '1'], ['GET', 'b'])
  it.sentTo(it.primary)
  it.demote()
  const reply = `${refused}$${value.length}\r\n${value}\r\n`
  for (const _client of clients)
    for (let at = 0; at < reply.length; at += 32_000) it.reply(it.primary, reply.slice(at, at + 32_000))
  expect(it.path.secondTries.counts.keptBytes).toBeLessThanOrEqual(secondTriesBytesMax)
  expect([clients.at(0)!.socket.text === '', clients.at(-1)!.socket.text === reply]).toEqual([true, true])
})
