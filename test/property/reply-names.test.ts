/** Prefix algebra of replies: putting the prefix on each name and stripping it gives back the reply; a missing one is always seen. */
import fc from 'fast-check'
import { buildCommandTable } from '../../src/commands/lookup.ts'
import { REPLY } from '../../src/commands/spec.ts'
import { array, bulk, encodeReply, map, type Reply } from '../../src/resp/encode.ts'
import { stripReply } from '../../src/tenant/reply-names.ts'

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }
const table = buildCommandTable()
const prefix = fc.constantFrom('acme:', 'a:', "q':", 'tenant-with-a-long-name:').map((text) => Buffer.from(text))
const name = fc
  .oneof(fc.uint8Array({ maxLength: 10 }), fc.constantFrom('acme:', 'acme:acme:x', 'a:', '', '\r\n'))
  .map((bytes) => Buffer.from(bytes as string))
/** Values that look like prefixed names, or like protocol. */
const value = fc.oneof(
  name,
  fc.constantFrom('acme:v', 'a:v', '*1\r\n$6\r\nacme:x\r\n').map((text) => Buffer.from(text)),
)
const version = fc.constantFrom<2 | 3>(2, 3)

const popped = (key: Buffer, values: readonly Buffer[]): Reply => array([bulk(key), array(values.map(bulk))])
function read(names: readonly Buffer[], values: readonly Buffer[], resp: 2 | 3): Reply {
  const entries = array([array([bulk('1-1'), array(values.map(bulk))])])
  return resp === 3
    ? map(names.map((key) => [bulk(key), entries] as const))
    : array(names.map((key) => array([bulk(key), entries])))
}

test('LMPOP and ZMPOP: off again what was put on, whatever names and values look like', () => {
  fc.assert(
    fc.property(prefix, name, fc.array(value, { maxLength: 4 }), version, (pre, key, values, resp) => {
      const sent = encodeReply(popped(Buffer.concat([pre, key]), values), resp)
      expect(stripReply(REPLY.firstElement, sent, pre, table)).toEqual(encodeReply(popped(key, values), resp))
    }),
    { numRuns: 1000, ...seed },
  )
})

test('XREAD: every name, no value, on both protocols', () => {
  fc.assert(
    fc.property(
      prefix,
      fc.array(name, { minLength: 1, maxLength: 5 }),
      fc.array(value, { maxLength: 4 }),
      version,
      (pre, names, values, resp) => {
        const on = names.map((key) => Buffer.concat([pre, key]))
        expect(stripReply(REPLY.streams, encodeReply(read(on, values, resp), resp), pre, table)).toEqual(
          encodeReply(read(names, values, resp), resp),
        )
      },
    ),
    { numRuns: 1000, ...seed },
  )
})

test('one name without the prefix, wherever it stands, stops the whole reply', () => {
  fc.assert(
    fc.property(
      prefix,
      fc.array(name, { minLength: 1, maxLength: 5 }),
      fc.nat(),
      name,
      version,
      (pre, names, at, foreign, resp) => {
        fc.pre(!foreign.subarray(0, pre.length).equals(pre))
        const on = names.map((key, i) => (i === at % names.length ? foreign : Buffer.concat([pre, key])))
        expect(stripReply(REPLY.streams, encodeReply(read(on, [], resp), resp), pre, table)).toBeUndefined()
        expect(stripReply(REPLY.firstElement, encodeReply(popped(foreign, []), resp), pre, table)).toBeUndefined()
      },
    ),
    { numRuns: 1000, ...seed },
  )
})

test('NOGROUP shows the name of the client, for names without quotes', () => {
  const word = fc.stringMatching(/^[a-z:*]{0,12}$/)
  fc.assert(
    fc.property(prefix, word, word, (pre, key, group) => {
      const both = (name: string) => [
        `-NOGROUP No such key '${name}' or consumer group '${group}' in XREADGROUP with GROUP option\r\n`,
        `-NOGROUP No such consumer group '${group}' for key name '${name}'\r\n`,
      ]
      const plain = both(key)
      for (const [i, text] of both(pre.toString() + key).entries())
        expect(stripReply(REPLY.errorNames, Buffer.from(text), pre, table)?.toString()).toBe(plain[i])
    }),
    { numRuns: 500, ...seed },
  )
})
