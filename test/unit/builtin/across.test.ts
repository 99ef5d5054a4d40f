/** Questions about a tenant's clients where other workers have some of them: what is asked of them, and how much at a time. */
import { channelBytesMax } from '../../../src/base/limits.ts'
import { acrossBuiltins } from '../../../src/builtin/across.ts'
import type { BuiltinHost } from '../../../src/builtin/builtin.ts'
import { readKillFilter } from '../../../src/builtin/client-others.ts'
import type { Session } from '../../../src/session/session.ts'

const bytes = (...words: readonly string[]): Buffer[] => words.map((word) => Buffer.from(word))
const session = { account: { tenant: { id: 'shop' } } } as unknown as Session

/** A host whose own clients hear `here` channels each once, and two other workers, each hearing every channel as often as its name is long. */
function host() {
  const rounds: (readonly string[])[] = []
  const others = {
    ask: async (what: string, { tenant, names }: { tenant: string; names: readonly string[] }) => {
      expect([what, tenant]).toEqual(['subscribers', 'shop'])
      rounds.push(names)
      return [names.map((name) => name.length), names.map((name) => name.length)]
    },
  }
  const subscriptions = { count: (_: unknown, __: string, name: Buffer) => (name.toString() === 'here' ? 1 : 0) }
  return { rounds, host: { others, subscriptions } as unknown as BuiltinHost }
}

test('PUBSUB NUMSUB of many channels asks in rounds, and puts each number with its name', async () => {
  const names = ['here', ...Array.from({ length: 1_200 }, (_, i) => `c${i}`)]
  const { rounds, host: it } = host()
  const reply = await acrossBuiltins['pubsub|numsub']!.run(bytes('PUBSUB', 'NUMSUB', ...names), session, it, 0)
  expect(rounds.map((round) => round.length)).toEqual([512, 512, 177])
  const items = (reply as unknown as { items: { value: unknown }[] }).items
  expect(items).toHaveLength(2 * names.length)
  for (const [i, name] of names.entries()) {
    expect(String(items[2 * i]!.value)).toBe(name)
    expect(items[2 * i + 1]!.value).toBe(2 * name.length + (name === 'here' ? 1 : 0))
  }
})

test('long names are few in a round, and those that nobody can have subscribed to are not asked about', async () => {
  const long = 'x'.repeat(channelBytesMax)
  const { rounds, host: it } = host()
  const args = bytes('PUBSUB', 'NUMSUB', long, 'a', `${long}y`, 'b')
  await acrossBuiltins['pubsub|numsub']!.run(args, session, it, 0)
  expect(rounds).toEqual([[long], ['a', 'b']])
})

test('an address that no client can have is not sent whole to the other workers', () => {
  for (const args of [bytes('CLIENT', 'KILL', 'a'.repeat(5_000)), bytes('CLIENT', 'KILL', 'ADDR', 'a'.repeat(5_000))]) {
    const filter = readKillFilter(args, session, {} as BuiltinHost)
    expect('kind' in filter ? filter : filter.addr).toBe('a'.repeat(80))
  }
})
