import { Node } from '../../../src/regions/node.ts'
import type { Answer } from '../../../src/upstream/service.ts'
import { FleetRecords } from '../../../src/usage/fleet-records.ts'

function setUp() {
  const nodes = ['near', 'far', 'primary'].map((name, i) => {
    const node = new Node(i, { name, region: name, host: name, port: 1, tls: false }, i === 0)
    node.isReadable = true
    node.shownSentAtMs = 9_900
    return node
  })
  const [near, far, primary] = nodes as [Node, Node, Node]
  const asked: { node: number; request: string; answer: (answer: Answer) => void }[] = []
  const warned: unknown[] = []
  const tracker = { primary: primary as Node | undefined, readOrder: [near, far, primary] }
  const records = new FleetRecords({
    tracker,
    log: { warn: (fields: unknown) => warned.push(fields) } as never,
    now: () => 10_000,
    ask: (node, request) =>
      new Promise((resolve) => asked.push({ node, request: Buffer.from(request).toString(), answer: resolve })),
  })
  const read = () =>
    new Promise<[readonly string[] | undefined, number]>((resolve) =>
      records.read((fields, asOfMs) => resolve([fields, asOfMs])),
    )
  const write = () => new Promise<string>((resolve) => records.write(['HSET', 'k', 'f', 'v'], resolve))
  return { near, far, primary, tracker, asked, warned, records, read, write }
}

const reply = (text: string): Answer => Buffer.from(text)

test('records are read at the nearest node, as of the mark that it had shown before it was asked', async () => {
  const { asked, read, near } = setUp()
  const reading = read()
  near.shownSentAtMs = 9_950
  expect(asked[0]).toMatchObject({ node: 0, request: '*2\r\n$7\r\nHGETALL\r\n$17\r\nregis:use:proxies\r\n' })
  asked[0]!.answer(reply('*2\r\n$1\r\na\r\n$7\r\n1 1 500\r\n'))
  expect(await reading).toEqual([['a', '1 1 500'], 9_900])
})

test('a replica that is behind, or not fit to be read, is passed over, and the primary shows what is now', async () => {
  const { asked, read, near, far } = setUp()
  near.shownSentAtMs = 4_000
  far.isReadable = false
  const reading = read()
  expect(asked[0]!.node).toBe(2)
  asked[0]!.answer(reply('*0\r\n'))
  expect(await reading).toEqual([[], 10_000])
})

test('a node that owes an answer is not asked again while there is another', async () => {
  const { asked, read } = setUp()
  void read()
  void read()
  expect(asked.map(({ node }) => node)).toEqual([0, 1])
  asked[0]!.answer('lost')
  await Promise.resolve()
  await Promise.resolve()
  void read()
  expect(asked.at(-1)!.node).toBe(0)
})

test('no node, no answer, a refusal and nonsense are no view', async () => {
  const { asked, read, tracker } = setUp()
  const answers: Answer[] = ['lost', 'unsent', reply('-NOPERM no\r\n'), reply('$3\r\nabc\r\n'), reply('*2\r\n')]
  for (const answer of answers) {
    const reading = read()
    asked.at(-1)!.answer(answer)
    expect((await reading)[0]).toBeUndefined()
  }
  tracker.readOrder.length = 0
  expect((await read())[0]).toBeUndefined()
})

test.each([
  [reply(':1\r\n'), 'ok'],
  [reply('-NOPERM No permissions to access a key\r\n'), 'refused'],
  [reply("-OOM command not allowed when used memory > 'maxmemory'.\r\n"), 'refused'],
  [reply('-READONLY You cannot write\r\n'), 'failed'],
  ['lost' as const, 'failed'],
])('a record is written to the primary: %s is %s', async (answer, result) => {
  const { asked, write } = setUp()
  const writing = write()
  expect(asked[0]!.node).toBe(2)
  asked[0]!.answer(answer)
  expect(await writing).toBe(result)
})

test('without a primary nothing is written', async () => {
  const { asked, write, tracker } = setUp()
  tracker.primary = undefined
  expect(await write()).toBe('failed')
  expect(asked).toEqual([])
})

test('the warning tells the first word of the refusal, and no more of it', async () => {
  const { asked, write, warned, records } = setUp()
  const writing = write()
  asked[0]!.answer(reply('-NOPERM user secret has no permissions\r\n'))
  await writing
  records.refused()
  expect(warned).toEqual([{ code: 'NOPERM' }])
})
