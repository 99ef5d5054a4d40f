/**
 * What the server has is what a client may call: COMMAND, COUNT, LIST, INFO and DOCS through Regis tell the same set, each
 * of it is answered and nothing else is, and what the server lacks sounds as it does from the server itself. Holds for
 * any server: the reference is asked, not written down.
 */
import { buildCommandTable } from '../../src/commands/lookup.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { type Decoded, ErrorReply, Tagged } from '../kit/resp.ts'
import { rawClient, startProxy, startRedis } from '../kit/servers.ts'

const table = buildCommandTable()
let server: RawClient
let client: RawClient

beforeAll(async () => {
  const redis = await startRedis()
  const proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [`redis://127.0.0.1:${redis.port}`] } },
    tenants: { shop: { users: { shop: { password: 'demo' } } } },
  })
  server = await rawClient(redis.port)
  client = await proxy.client('shop')
})

const listOf = (value: Decoded | undefined): Decoded[] => (value instanceof Tagged ? value.value : value) as Decoded[]

/** Names of a reply of COMMAND, subcommands among them. */
function namesOf(reply: Decoded): string[] {
  const names: string[] = []
  for (const entry of listOf(reply)) {
    const fields = listOf(entry)
    names.push(String(fields[0]).toLowerCase())
    if (fields.length > 9) names.push(...namesOf(fields[9]!))
  }
  return names.sort()
}

function docsNames(reply: Decoded): string[] {
  const flat = reply instanceof Map ? [...reply].flat() : listOf(reply)
  return flat.flatMap((value, i) => {
    if (i % 2 === 0) return [String(value)]
    const fields = value instanceof Map ? [...value].flat() : listOf(value)
    const at = fields.indexOf('subcommands')
    return at < 0 ? [] : docsNames(fields[at + 1]!)
  })
}

test('what the server lacks sounds as it does from the server itself', async () => {
  const there = new Set(namesOf(await server.call('COMMAND')))
  const lacking = table.specs.filter(
    (spec) => !there.has(spec.name) && spec.answer !== 'proxy' && spec.isOurs === undefined,
  )
  for (const spec of lacking) {
    for (const args of [[], ['k'], ['k', "a'b\0c", '1', 'x'.repeat(150), 'y']]) {
      const [name = '', sub] = spec.name.split('|')
      const argv = [name[0]!.toUpperCase() + name.slice(1), ...(sub === undefined ? [] : [sub.toUpperCase()]), ...args]
      expect([argv, await client.callRaw(...argv)]).toEqual([argv, await server.callRaw(...argv)])
    }
  }
})

test('COMMAND, COUNT, LIST, INFO and DOCS tell the same commands', async () => {
  const names = namesOf(await client.call('COMMAND'))
  expect(namesOf(await client.call('COMMAND', 'INFO'))).toEqual(names)
  expect(((await client.call('COMMAND', 'LIST')) as string[]).sort()).toEqual(names)
  const documented = docsNames(await client.call('COMMAND', 'DOCS')).map((name) => name.toLowerCase())
  expect(documented.sort()).toEqual(names)
  expect(await client.call('COMMAND', 'COUNT')).toBe(names.filter((name) => !name.includes('|')).length)
})

test('each command that is told is answered, and no other one of the server is', async () => {
  const told = new Set(namesOf(await client.call('COMMAND')))
  // Those that end or change the connection are told, and are met elsewhere.
  const apart = new Set([
    ...['quit', 'auth', 'hello', 'reset', 'client|reply', 'monitor', 'multi', 'exec', 'discard', 'watch'],
    ...['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe'],
  ])
  for (const entry of (await server.call('COMMAND')) as Decoded[][]) {
    const subs = entry.length > 9 ? listOf(entry[9]) : []
    for (const [name, arity] of [entry, ...(subs as Decoded[][])]) {
      const words = String(name).split('|')
      if (apart.has(String(name)) || (words.length === 1 && subs.length > 0)) continue
      // A count of arguments that fits, and an option word that Redis does not have.
      const least = Math.max(Math.abs(Number(arity)), words.length)
      const argv = [...words, ...Array.from({ length: least - words.length }, () => 'nope')]
      const reply = await client.call(...argv)
      const isRefused = reply instanceof ErrorReply && /^NOPERM|^ERR unknown (sub)?command/.test(reply.message)
      expect([name, isRefused]).toEqual([name, !told.has(String(name).toLowerCase())])
    }
  }
})

test('an arity that the server has widened is the arity', async () => {
  for (const argv of [
    ['ZRANK', 'k', 'm', 'WITHSCORE'],
    ['ZREVRANK', 'k', 'm', 'WITHSCORE'],
    ['ZRANK', 'k'],
  ])
    expect([argv, await client.callRaw(...argv)]).toEqual([argv, await server.callRaw(...argv)])
})

test('WAITAOF is held up as by the server, where the server has it', async () => {
  for (const argv of [
    ['WAITAOF', '0', '0', '0'],
    ['WAITAOF', '0', '3', '10'],
    ['WAITAOF', '1', '0', '10'],
    ['WAITAOF', '0', '0', 'x'],
  ])
    expect([argv, await client.callRaw(...argv)]).toEqual([argv, await server.callRaw(...argv)])
})
