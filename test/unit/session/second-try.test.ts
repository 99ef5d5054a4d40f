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
