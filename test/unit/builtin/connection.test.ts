import type { BuiltinHost } from '../../../src/builtin/builtin.ts'
import { connectionBuiltins } from '../../../src/builtin/connection.ts'
import { LEVEL } from '../../../src/routing/choose.ts'
import { replyOff, replyOn, type Session } from '../../../src/session/session.ts'

function run(name: string, session: object, host: object = {}, ...args: readonly string[]) {
  const argv = [name, ...args].map((arg) => Buffer.from(arg))
  return connectionBuiltins[name]!.run(argv, session as Session, host as BuiltinHost, 0)
}

test('RESET leaves nothing of what the client has set, and logs it out', () => {
  const session = { name: 'mine', resp: 3, replyMode: replyOff, level: LEVEL.eventual }
  const logouts: unknown[] = []
  const reply = run('reset', session, { logout: (it: unknown) => logouts.push(it) })
  expect(reply).toEqual({ kind: 'simple', text: 'RESET' })
  expect(session).toEqual({ name: '', resp: 2, replyMode: replyOn, level: -1 })
  expect(logouts).toEqual([session])
})

test('READONLY asks for any state, READWRITE takes that back', () => {
  const session = { level: -1 }
  run('readonly', session)
  expect(session.level).toBe(LEVEL.eventual)
  run('readwrite', session)
  expect(session.level).toBe(-1)
})

test('what changes the connection waits for everything before it', () => {
  for (const name of ['quit', 'reset', 'readonly', 'readwrite']) expect(connectionBuiltins[name]!.isStateful).toBe(true)
})

test.each([
  ['0', 'simple'],
  ['1', 'error'],
  ['-0', 'error'],
  ['00', 'error'],
  ['x', 'error'],
])('SELECT %s is answered with %s', (db, kind) => {
  expect(run('select', {}, {}, db)).toMatchObject({ kind })
})
