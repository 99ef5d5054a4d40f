import {
  FailureLimiter,
  Identity,
  type IdentityOptions,
  type IdentityUser,
  passwordBytesMax,
  userList,
} from '../../../src/tenant/identity.ts'
import { type ScryptRun, sha256 } from '../../../src/tenant/password.ts'

/** A scheme that costs nothing and writes down each run. "Derives" SHA-256 of salt and password. */
function fakeScrypt() {
  const runs: string[] = []
  let running = 0
  let runningMax = 0
  const run: ScryptRun = async (password, salt, { n, r, p }) => {
    runs.push(`${n}/${r}/${p}`)
    running++
    runningMax = Math.max(runningMax, running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    return sha256(salt, password)
  }
  return { run, runs, most: () => runningMax }
}

const salt = Buffer.alloc(16, 7)
function scryptOf(password: string, n = 16384): string {
  return `scrypt$${n}$8$1$${salt.toString('base64')}$${sha256(salt, Buffer.from(password)).toString('base64')}`
}
function sha256Of(password: string): string {
  return `sha256$${sha256(Buffer.from(password)).toString('hex')}`
}
function user(name: string, credentials: Partial<IdentityUser> = {}): IdentityUser {
  return {
    kind: 'tenant',
    tenantId: 'shop',
    user: name,
    passwords: [],
    passwordHashes: [],
    nopass: false,
    ...credentials,
  }
}
const bytes = (text: string) => Buffer.from(text)
const identityOf = ({ users, ...rest }: Omit<IdentityOptions, 'users'> & { users: IdentityUser[] }) =>
  Identity.of({ users: userList(users), ...rest })
const yes = (name: string) => ({ ok: true, kind: 'tenant', tenantId: 'shop', user: name })
const no = { ok: false, reason: 'credentials' }

describe('a file with plain passwords only', () => {
  const identity = identityOf({
    users: [user('app', { passwords: ['one', 'two'] }), user('gen', { passwordHashes: [sha256Of('token')] })],
  })
  test('answers at once, each of the rotated passwords is right', () => {
    expect(identity.verify('app', bytes('one'))).toEqual(yes('app'))
    expect(identity.verify(bytes('app'), bytes('two'))).toEqual(yes('app'))
    expect(identity.verify('gen', bytes('token'))).toEqual(yes('gen'))
  })
  test.each([
    ['app', 'three'],
    ['app', ''],
    ['app', 'onetwo'],
    ['gen', 'one'],
    ['nobody', 'one'],
    ['', ''],
    ['App', 'one'],
  ])('refuses %p with %p', (name, password) => expect(identity.verify(name, bytes(password))).toEqual(no))
})

test('operators are told from tenants', () => {
  const identity = identityOf({
    users: [{ kind: 'operator', user: 'ops', passwords: ['x'], passwordHashes: [], nopass: false }],
  })
  expect(identity.verify('ops', bytes('x'))).toEqual({ ok: true, kind: 'operator', tenantId: undefined, user: 'ops' })
})

describe('nopass', () => {
  test('any password is right, and a connection without AUTH is user default', () => {
    const identity = identityOf({ users: [user('default', { nopass: true }), user('app', { passwords: ['x'] })] })
    expect(identity.verify('default', bytes('whatever'))).toEqual(yes('default'))
    expect(identity.withoutAuth()).toEqual(yes('default'))
  })
  test('a default with a password has to send it', () => {
    expect(identityOf({ users: [user('default', { passwords: ['x'] })] }).withoutAuth()).toBeUndefined()
    expect(identityOf({ users: [user('app', { nopass: true })] }).withoutAuth()).toBeUndefined()
  })
})

describe('every refusal runs the same schemes', () => {
  const users = [
    user('plain', { passwords: ['p'] }),
    user('one', { passwordHashes: [scryptOf('1')] }),
    user('two', { passwordHashes: [scryptOf('2'), scryptOf('3')] }),
    user('dear', { passwordHashes: [scryptOf('4', 65536)] }),
    user('token', { passwordHashes: [sha256Of('5')] }),
    user('disabled'),
  ]
  const all = ['16384/8/1', '16384/8/1', '65536/8/1']

  test.each(['plain', 'one', 'two', 'dear', 'token', 'disabled', 'nobody', '', 'x'.repeat(1000)])(
    'for %p',
    async (name) => {
      const scrypt = fakeScrypt()
      const identity = identityOf({ users, scrypt: scrypt.run })
      expect(await identity.verify(name, bytes('wrong'))).toEqual(no)
      expect(scrypt.runs).toEqual(all)
    },
  )

  test('and the right password of another user is as wrong as any', async () => {
    const scrypt = fakeScrypt()
    const identity = identityOf({ users, scrypt: scrypt.run })
    expect(await identity.verify('two', bytes('1'))).toEqual(no)
    expect(await identity.verify('nobody', bytes('4'))).toEqual(no)
    expect(scrypt.runs).toEqual([...all, ...all])
  })

  test('each hash of a user is right', async () => {
    const identity = identityOf({ users, scrypt: fakeScrypt().run })
    for (const [name, password] of [
      ['one', '1'],
      ['two', '2'],
      ['two', '3'],
      ['dear', '4'],
    ] as const) {
      expect(await identity.verify(name, bytes(password))).toEqual(yes(name))
    }
  })

  test('an overlong password is refused with the same work, though its beginning is right', async () => {
    const long = 'a'.repeat(passwordBytesMax)
    const scrypt = fakeScrypt()
    const identity = identityOf({ users: [user('app', { passwordHashes: [scryptOf(long)] })], scrypt: scrypt.run })
    expect(await identity.verify('app', bytes(long))).toEqual(yes('app'))
    expect(await identity.verify('app', bytes(`${long}b`))).toEqual(no)
    expect(scrypt.runs).toHaveLength(2)
  })
})

describe('the caches', () => {
  const users = [
    user('app', { passwordHashes: [scryptOf('right')] }),
    user('other', { passwordHashes: [scryptOf('right')] }),
  ]

  test('what was verified or refused once is answered at once', async () => {
    const scrypt = fakeScrypt()
    const identity = identityOf({ users, scrypt: scrypt.run })
    await identity.verify('app', bytes('right'))
    await identity.verify('app', bytes('wrong'))
    expect(identity.verify('app', bytes('right'))).toEqual(yes('app'))
    expect(identity.verify('app', bytes('wrong'))).toEqual(no)
    expect(scrypt.runs).toHaveLength(2)
  })

  test('one user is not another, wherever the name ends and the password begins', async () => {
    const scrypt = fakeScrypt()
    const identity = identityOf({ users, scrypt: scrypt.run })
    await identity.verify('app', bytes('right'))
    expect(await identity.verify('ap', bytes('pright'))).toEqual(no)
    expect(await identity.verify('appr', bytes('ight'))).toEqual(no)
    expect(await identity.verify('other', bytes('right'))).toEqual(yes('other'))
    expect(scrypt.runs).toHaveLength(4)
  })

  test('a full cache starts anew instead of failing', async () => {
    const identity = identityOf({ users, scrypt: fakeScrypt().run, cachedMax: 2 })
    for (let i = 0; i < 7; i++) expect(await identity.verify('app', bytes(`wrong ${i}`))).toEqual(no)
    expect(await identity.verify('app', bytes('right'))).toEqual(yes('app'))
  })

  test('the same credentials at the same time run once', async () => {
    const scrypt = fakeScrypt()
    const identity = identityOf({ users, scrypt: scrypt.run })
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => identity.verify('app', bytes('right'))))
    expect(verdicts).toEqual(Array(50).fill(yes('app')))
    expect(scrypt.runs).toHaveLength(1)
  })

  test('the password may be overwritten after the call: it was a view of the read buffer', async () => {
    const identity = identityOf({ users, scrypt: fakeScrypt().run, runsMax: 1 })
    const first = identity.verify('other', bytes('nonsense'))
    const view = bytes('right')
    const verdict = identity.verify('app', view)
    view.fill(0)
    await first
    expect(await verdict).toEqual(yes('app'))
  })

  test('a scheme that fails lets nobody in and is not remembered', async () => {
    let fails = true
    const good = fakeScrypt()
    const scrypt: ScryptRun = (...args) => (fails ? Promise.reject(new Error('out of memory')) : good.run(...args))
    const identity = identityOf({ users, scrypt })
    expect(await identity.verify('app', bytes('right'))).toEqual({ ok: false, reason: 'overloaded' })
    fails = false
    expect(await identity.verify('app', bytes('right'))).toEqual(yes('app'))
  })
})

test('few schemes run at once, a bounded number waits, the rest is refused', async () => {
  const scrypt = fakeScrypt()
  const identity = identityOf({
    users: [user('app', { passwordHashes: [scryptOf('x')] })],
    scrypt: scrypt.run,
    runsMax: 3,
    waitingMax: 5,
  })
  const verdicts = await Promise.all(Array.from({ length: 20 }, (_, i) => identity.verify('app', bytes(`${i}`))))
  expect(verdicts.filter((it) => !it.ok && it.reason === 'overloaded')).toHaveLength(12)
  expect(verdicts.filter((it) => !it.ok && it.reason === 'credentials')).toHaveLength(8)
  expect(scrypt.most()).toBe(3)
  // Nothing is left behind: all turns were given back.
  expect(await identity.verify('app', bytes('x'))).toEqual(yes('app'))
})

describe('the failure limiter', () => {
  const rate = { count: 10, perMs: 60_000 }
  const failed = (limiter: FailureLimiter, times: number, nowMs: number, ip = '10.0.0.1', name = 'app') => {
    for (let i = 0; i < times; i++) limiter.noteFailure(ip, name, nowMs)
  }

  test('limits after `count` failures, not before', () => {
    const limiter = new FailureLimiter(rate)
    failed(limiter, 9, 1_000)
    expect(limiter.isLimited('10.0.0.1', 'app', 1_000)).toBe(false)
    failed(limiter, 1, 1_000)
    expect(limiter.isLimited('10.0.0.1', 'app', 1_000)).toBe(true)
  })
  test('only that address and that user', () => {
    const limiter = new FailureLimiter(rate)
    failed(limiter, 10, 0)
    expect(limiter.isLimited('10.0.0.2', 'app', 0)).toBe(false)
    expect(limiter.isLimited('10.0.0.1', 'other', 0)).toBe(false)
  })
  test('allows one more after each tenth of a minute, all of them after a minute', () => {
    const limiter = new FailureLimiter(rate)
    failed(limiter, 10, 0)
    expect(limiter.isLimited('10.0.0.1', 'app', 5_999)).toBe(true)
    expect(limiter.isLimited('10.0.0.1', 'app', 6_000)).toBe(false)
    failed(limiter, 1, 6_000)
    expect(limiter.isLimited('10.0.0.1', 'app', 6_000)).toBe(true)
    failed(limiter, 9, 70_000)
    expect(limiter.isLimited('10.0.0.1', 'app', 70_000)).toBe(false)
  })
  test('who hammers on is let in again a minute after the end', () => {
    const limiter = new FailureLimiter(rate)
    failed(limiter, 10_000, 0)
    expect(limiter.isLimited('10.0.0.1', 'app', 66_000)).toBe(false)
  })
  test('0 is off', () => {
    const limiter = new FailureLimiter({ count: 0, perMs: 1_000 })
    failed(limiter, 1_000, 0)
    expect(limiter.isLimited('10.0.0.1', 'app', 0)).toBe(false)
  })
  test('remembers a bounded number of pairs, the newest ones', () => {
    const limiter = new FailureLimiter(rate, 100)
    failed(limiter, 10, 0, 'old')
    for (let i = 0; i < 100; i++) limiter.noteFailure(`ip-${i}`, 'x', 0)
    failed(limiter, 10, 0, 'new')
    expect(limiter.isLimited('old', 'app', 0)).toBe(false)
    expect(limiter.isLimited('new', 'app', 0)).toBe(true)
  })
})
