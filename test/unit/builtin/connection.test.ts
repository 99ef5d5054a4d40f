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

const notInteger = 'ERR value is not an integer or out of range'
const index = 'ERR DB index is out of range'
const range = 'ERR value is out of range, value must between -2147483648 and 2147483647'
test.each([
  ['0', undefined],
  ['3', undefined],
  ['4', index],
  ['-1', index],
  ['2147483647', index],
  ['2147483648', range],
  ['-99999999999', range],
  ['99999999999999999999', notInteger],
  ['-0', notInteger],
  ['00', notInteger],
  ['+1', notInteger],
  ['x', notInteger],
  ['', notInteger],
])('SELECT %j of a tenant with four databases', (db, error) => {
  const selected: number[] = []
  const session = { account: { tenant: { prefixes: [0, 1, 2, 3] } }, select: (it: number) => selected.push(it) }
  expect(run('select', session, {}, db)).toEqual(
    error === undefined ? { kind: 'simple', text: 'OK' } : { kind: 'error', text: error },
  )
  expect(selected).toEqual(error === undefined ? [Number(db)] : [])
})

test('SELECT changes the prefix of what follows, so what stands before it is sent off first', () => {
  expect(connectionBuiltins['select']!.isSelecting).toBe(true)
})
