/**
 * Hashes of passwords: their text form, making one, and checking against one. Who has which is in identity.ts.
 *
 *   scrypt$N$r$p$SALT$HASH   for what people choose; SALT and HASH in base64; about 40 ms at N=16384, r=8, p=1
 *   sha256$SALT$HASH         SHA-256(salt || password), base64: only for generated secrets of 128 bits and more
 *   sha256$HEX               SHA-256(password) in 64 hex digits, as `sha256sum` and Redis's `ACL SETUSER #...` have it
 */
import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

export interface ScryptParameters {
  readonly n: number
  readonly r: number
  readonly p: number
}
export interface ScryptHash extends ScryptParameters {
  readonly scheme: 'scrypt'
  readonly salt: Buffer
  readonly hash: Buffer
}
export interface Sha256Hash {
  readonly scheme: 'sha256'
  /** Empty for the hex form. */
  readonly salt: Buffer
  readonly hash: Buffer
}
export type PasswordHash = ScryptHash | Sha256Hash

export const scryptDefaults: ScryptParameters = { n: 16_384, r: 8, p: 1 }

/** N of 2^17 with r=8 takes 0.65 s and 128 MiB on a slow core; a hash in a file may cost four times that time, not more memory than 256 MiB. */
const scryptWorkMax = 2 ** 22
const scryptMemoryBytesMax = 256 * 2 ** 20
const scryptNMin = 1_024

/** The hash, or what is wrong with the text in words that never quote it. */
export function parseHash(text: string): PasswordHash | { readonly problem: string } {
  const parts = text.split('$')
  if (parts[0] === 'scrypt') return parseScrypt(parts)
  if (parts[0] === 'sha256') return parseSha256(parts)
  return { problem: 'expected scrypt$N$r$p$salt$hash or sha256$salt$hash, as `regis hash-password` prints them' }
}

function parseScrypt(parts: readonly string[]): ScryptHash | { readonly problem: string } {
  if (parts.length !== 6) return { problem: 'expected scrypt$N$r$p$salt$hash' }
  const [n, r, p] = parts.slice(1, 4).map((part) => (/^\d{1,8}$/.test(part) ? Number(part) : 0)) as [
    number,
    number,
    number,
  ]
  if (n < scryptNMin || (n & (n - 1)) !== 0)
    return { problem: `scrypt: N must be a power of two from ${scryptNMin} up` }
  if (r < 1 || p < 1) return { problem: 'scrypt: r and p must be numbers from 1 up' }
  if (n * r * p > scryptWorkMax || scryptMemory({ n, r, p }) > scryptMemoryBytesMax) {
    return { problem: 'scrypt: N, r and p cost too much time or memory for a login' }
  }
  const salt = fromBase64(parts[4]!)
  const hash = fromBase64(parts[5]!)
  if (salt === undefined || salt.length < 8 || salt.length > 64)
    return { problem: 'scrypt: the salt must be 8 to 64 bytes in base64' }
  if (hash === undefined || hash.length < 16 || hash.length > 64)
    return { problem: 'scrypt: the hash must be 16 to 64 bytes in base64' }
  return { scheme: 'scrypt', n, r, p, salt, hash }
}

function parseSha256(parts: readonly string[]): Sha256Hash | { readonly problem: string } {
  if (parts.length === 2 && /^[0-9a-fA-F]{64}$/.test(parts[1]!)) {
    return { scheme: 'sha256', salt: Buffer.alloc(0), hash: Buffer.from(parts[1]!, 'hex') }
  }
  const salt = fromBase64(parts[1] ?? '')
  const hash = fromBase64(parts[2] ?? '')
  if (parts.length !== 3 || salt === undefined || salt.length > 64 || hash?.length !== 32) {
    return { problem: 'expected sha256$salt$hash in base64, or sha256$ and 64 hex digits' }
  }
  return { scheme: 'sha256', salt, hash }
}

export function formatHash(hash: PasswordHash): string {
  const salted = `${hash.salt.toString('base64')}$${hash.hash.toString('base64')}`
  return hash.scheme === 'scrypt' ? `scrypt$${hash.n}$${hash.r}$${hash.p}$${salted}` : `sha256$${salted}`
}

/** A new hash with a salt of its own, as text for `password_hash`. */
export async function hashPassword(
  password: Buffer,
  scheme: 'scrypt' | 'sha256',
  parameters: ScryptParameters = scryptDefaults,
): Promise<string> {
  const salt = randomBytes(16)
  if (scheme === 'sha256') return formatHash({ scheme, salt, hash: sha256(salt, password) })
  return formatHash({ scheme, ...parameters, salt, hash: await runScrypt(password, salt, parameters, 32) })
}

/** One derivation. Handed in where runs are counted or replaced. */
export type ScryptRun = (password: Buffer, salt: Buffer, parameters: ScryptParameters, bytes: number) => Promise<Buffer>

/** On libuv's thread pool: the event loop goes on. */
export const runScrypt: ScryptRun = (password, salt, parameters, bytes) =>
  new Promise((resolve, reject) => {
    const options = { N: parameters.n, r: parameters.r, p: parameters.p, maxmem: scryptMemory(parameters) }
    scrypt(password, salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)))
  })

export async function verifyScrypt(password: Buffer, hash: ScryptHash, run: ScryptRun = runScrypt): Promise<boolean> {
  return timingSafeEqual(await run(password, hash.salt, hash, hash.hash.length), hash.hash)
}

export function verifySha256(password: Buffer, hash: Sha256Hash): boolean {
  return timingSafeEqual(sha256(hash.salt, password), hash.hash)
}

/** For a password against a hash of either scheme. */
export async function verifyPassword(password: Buffer, hash: PasswordHash, run?: ScryptRun): Promise<boolean> {
  return hash.scheme === 'scrypt' ? verifyScrypt(password, hash, run) : verifySha256(password, hash)
}

export function sha256(...parts: readonly Buffer[]): Buffer {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}

/** What OpenSSL counts against maxmem: 128 N r for the table, 128 r p for the blocks, and a little. */
function scryptMemory({ n, r, p }: ScryptParameters): number {
  return 128 * n * r + 128 * r * p + 64 * 1024
}

/** Strict: Buffer.from would step over what is not base64. */
function fromBase64(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length > 0 ? Buffer.from(text, 'base64') : undefined
}
