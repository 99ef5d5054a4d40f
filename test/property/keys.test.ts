/** Key finding over arbitrary arguments: whatever comes, an error or keys that make sense; the prefix changes nothing else. */
import fc from 'fast-check'
import { type Argv, findKeys, newKeyList } from '../../src/commands/keys.ts'
import { buildCommandTable } from '../../src/commands/lookup.ts'
import { ROUTE } from '../../src/commands/spec.ts'

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }
const table = buildCommandTable()
const served = table.specs.filter((spec) => table.route[spec.id]! >= ROUTE.read && spec.keySpecs.length > 0)

const words = [
  'STORE',
  'store\0',
  'STOREDIST',
  'streams',
  'STREAMS',
  'BY',
  'GET',
  '#',
  'LIMIT',
  'count',
  'group',
  'DB',
  '0',
  '1',
  '2',
  '3',
  '01',
  '-1',
  'w_*',
  'h_*->f',
  'asc',
  'alpha',
  'replace',
  'noack',
  '99999999999999999999',
  '',
]
const argument = fc.oneof(
  fc.constantFrom(...words).map((word) => Buffer.from(word)),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
)
const request = fc.constantFrom(...served).chain((spec) =>
  fc.record({
    spec: fc.constant(spec),
    rest: fc.array(argument, {
      minLength: Math.max(0, Math.abs(spec.arity) - spec.name.split('|').length),
      maxLength: 14,
    }),
  }),
)

function framed(args: readonly Buffer[]): Argv {
  const off = new Int32Array(args.length)
  for (let i = 1; i < args.length; i++) off[i] = off[i - 1]! + args[i - 1]!.length
  return { buf: Buffer.concat(args), count: args.length, off, len: Int32Array.from(args, (arg) => arg.length) }
}

const find = (id: number, args: readonly Buffer[]) => {
  const keys = newKeyList()
  const code = findKeys(table, id, framed(args), keys)
  return { code, at: Array.from(keys.arg.subarray(0, keys.count)), patterns: keys.patterns }
}
const argsOf = ({ spec, rest }: { spec: { name: string }; rest: readonly Buffer[] }): Buffer[] => [
  ...spec.name.split('|').map((part) => Buffer.from(part)),
  ...rest,
]

test('keys are ascending arguments behind the name; a served keyed command has one, or gets an error', () => {
  fc.assert(
    fc.property(request, (one) => {
      const { code, at } = find(one.spec.id, argsOf(one))
      if (code !== undefined) return
      const first = one.spec.name.split('|').length
      // Scripts may have none; what they name inside is the tenant's own Redis user's affair.
      if (one.spec.via !== 'script') expect(at.length).toBeGreaterThan(0)
      for (const [i, index] of at.entries()) {
        expect(index).toBeGreaterThanOrEqual(i === 0 ? first : at[i - 1]! + 1)
        expect(index).toBeLessThan(first + one.rest.length)
      }
    }),
    { numRuns: 3000, ...seed },
  )
})

test('the keys of a prefixed request are where they were: what Redis parses is what we parsed', () => {
  fc.assert(
    fc.property(request, fc.constantFrom('acme:', 'a:', 'store:', 'x-'), (one, prefix) => {
      const args = argsOf(one)
      const before = find(one.spec.id, args)
      if (before.code !== undefined) return
      const scoped = args.map((arg, i) => (before.at.includes(i) ? Buffer.concat([Buffer.from(prefix), arg]) : arg))
      expect(find(one.spec.id, scoped)).toEqual(before)
    }),
    { numRuns: 3000, ...seed },
  )
})

test('option words in any case give the same keys', () => {
  const flip = (arg: Buffer): Buffer =>
    Buffer.from(arg.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte & 0xdf : byte)))
  fc.assert(
    fc.property(request, (one) => {
      const args = argsOf(one)
      const ours = find(one.spec.id, args)
      expect(find(one.spec.id, args.map(flip))).toEqual(ours)
    }),
    { numRuns: 2000, ...seed },
  )
})

test('no name finds a command but its own', () => {
  const names = new Set(table.specs.filter((spec) => !spec.name.includes('|')).map((spec) => spec.name))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 20 }),
        fc.constantFrom(...names).chain((name) =>
          fc.nat(name.length).chain((at) =>
            fc.nat(255).map((byte) => {
              const bytes = Buffer.from(name)
              bytes[at % bytes.length] = byte
              return bytes
            }),
          ),
        ),
      ),
      (bytes) => {
        const id = table.lookup(bytes, 0, bytes.length)
        const text = Buffer.from(bytes)
          .toString('latin1')
          .replace(/[A-Z]/g, (c) => c.toLowerCase())
        expect(id >= 0 ? table.specs[id]?.name : undefined).toBe(names.has(text) ? text : undefined)
      },
    ),
    { numRuns: 5000, ...seed },
  )
})
