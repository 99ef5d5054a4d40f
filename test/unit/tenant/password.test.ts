import { createHash, scryptSync } from 'node:crypto'
import { hashPassword, type PasswordHash, parseHash, verifyPassword } from '../../../src/tenant/password.ts'

const cheap = { n: 1024, r: 8, p: 1 }
function parsed(text: string): PasswordHash {
  const hash = parseHash(text)
  if ('problem' in hash) throw new Error(hash.problem)
  return hash
}

describe.each([['scrypt' as const], ['sha256' as const]])('%s', (scheme) => {
  test('a hash fits its password and no other', async () => {
    const hash = parsed(await hashPassword(Buffer.from('héslo'), scheme, cheap))
    expect(hash.scheme).toBe(scheme)
    expect(await verifyPassword(Buffer.from('héslo'), hash)).toBe(true)
    for (const wrong of ['heslo', 'héslo ', '', 'HÉSLO'])
      expect(await verifyPassword(Buffer.from(wrong), hash)).toBe(false)
  })
  test('the same password gives another hash each time', async () => {
    const [a, b] = [
      await hashPassword(Buffer.from('x'), scheme, cheap),
      await hashPassword(Buffer.from('x'), scheme, cheap),
    ]
    expect(a).not.toBe(b)
  })
})

test("a hash of scrypt's own, made elsewhere, fits", async () => {
  const salt = Buffer.from('0123456789abcdef')
  const key = scryptSync('demo', salt, 32, { N: 1024, r: 8, p: 1 })
  const text = `scrypt$1024$8$1$${salt.toString('base64')}$${key.toString('base64')}`
  expect(await verifyPassword(Buffer.from('demo'), parsed(text))).toBe(true)
})

test('sha256 in hex is what sha256sum prints', async () => {
  const text = `sha256$${createHash('sha256').update('demo').digest('hex')}`
  expect(await verifyPassword(Buffer.from('demo'), parsed(text))).toBe(true)
  expect(await verifyPassword(Buffer.from('demO'), parsed(text))).toBe(false)
})

const salt = Buffer.alloc(16).toString('base64')
const hash = Buffer.alloc(32).toString('base64')
test.each([
  ['', 'expected scrypt$N$r$p$salt$hash or sha256$salt$hash'],
  ['demo', 'expected scrypt$N$r$p$salt$hash or sha256$salt$hash'],
  ['bcrypt$x', 'expected scrypt$N$r$p$salt$hash or sha256$salt$hash'],
  [`scrypt$16384$8$1$${salt}`, 'expected scrypt$N$r$p$salt$hash'],
  [`scrypt$16383$8$1$${salt}$${hash}`, 'scrypt: N must be a power of two'],
  [`scrypt$512$8$1$${salt}$${hash}`, 'scrypt: N must be a power of two'],
  [`scrypt$1e4$8$1$${salt}$${hash}`, 'scrypt: N must be a power of two'],
  [`scrypt$16384$0$1$${salt}$${hash}`, 'scrypt: r and p'],
  [`scrypt$16384$8$0$${salt}$${hash}`, 'scrypt: r and p'],
  [`scrypt$33554432$8$1$${salt}$${hash}`, 'scrypt: N, r and p cost too much'],
  [`scrypt$1024$8$99999$${salt}$${hash}`, 'scrypt: N, r and p cost too much'],
  [`scrypt$16384$8$1$$${hash}`, 'scrypt: the salt'],
  [`scrypt$16384$8$1$!!!!$${hash}`, 'scrypt: the salt'],
  [`scrypt$16384$8$1$${salt}$YWJj`, 'scrypt: the hash'],
  ['sha256$abc', 'expected sha256$salt$hash'],
  [`sha256$${salt}$YWJj`, 'expected sha256$salt$hash'],
  [`sha256$${'g'.repeat(64)}`, 'expected sha256$salt$hash'],
])('%p is refused', (text, problem) => {
  const result = parseHash(text)
  expect('problem' in result ? result.problem : '').toContain(problem)
})
