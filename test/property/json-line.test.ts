/** A line of JSON has the same nodes, by the fast reader and by that of YAML; what the fast one is not sure of it leaves alone. */
import fc from 'fast-check'
import { type Node, readDocument } from '../../src/config/document.ts'
import { readJsonLine } from '../../src/config/json-line.ts'

const sources = {
  env: { SET: 'value', EMPTY: '' },
  readFile: (name: string) => (name === 'there' ? { text: 'contents\n' } : { problem: 'no such file' }),
}
const slow = (text: string) => readDocument(text, sources, () => false)

const word = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    '',
    'a"b',
    '\\',
    'null',
    '~',
    '<<',
    '__proto__',
    '${SET}',
    '${NO}',
    '$$',
    '${EMPTY:-x}',
    '${file:there}',
    '${',
    '\t',
  ),
)
const value = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small' },
    word,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('node'), { maxLength: 4 }),
    fc.array(fc.tuple(word, tie('node')), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs)),
  ),
})).node

/** JSON with spaces where they may be. */
function render(it: unknown, space: string): string {
  if (Array.isArray(it)) return `[${space}${it.map((one) => render(one, space)).join(`${space},${space}`)}${space}]`
  if (it === null || typeof it !== 'object') return JSON.stringify(it)
  const pairs = Object.entries(it).map(([key, one]) => `${JSON.stringify(key)}${space}:${space}${render(one, space)}`)
  return `{${space}${pairs.join(`${space},${space}`)}${space}}`
}

/** The reader of YAML counts spaces behind a value to it here and there; starts are what is shown. */
function shape(node: Node): unknown {
  const { start } = node
  if (node.kind === 'map')
    return { start, map: [...node.entries].map(([name, { key, node: of }]) => [name, key.start, key.end, shape(of)]) }
  if (node.kind === 'list') return { start, list: node.items.map(shape) }
  const { text, written, replaced, empty, failed } = node
  return { start, text, written, replaced, empty, failed }
}

test('what the fast reader takes the slow one takes, to the same nodes', () => {
  let taken = 0
  fc.assert(
    fc.property(value, fc.constantFrom('', ' ', '  '), (it, space) => {
      const text = render(it, space)
      const fast = readJsonLine(text, sources)?.root
      if (fast === undefined) return
      const { root, errors } = slow(text)
      taken++
      expect({ errors, root: root && shape(root) }).toEqual({ errors: [], root: shape(fast) })
    }),
    { numRuns: 300 },
  )
  expect(taken).toBeGreaterThan(100)
})

test('a line with one sign changed is taken by both alike, or by the slow one alone', () => {
  const line = '{"id":"a","users":{"u":{"password":["x","${SET}"],"nopass":false}},"databases":2,"deny":[]}'
  fc.assert(
    fc.property(
      fc.nat(line.length - 1),
      fc.constantFrom('', '"', '\\', '{', '}', '[', ']', ',', ':', ' ', '0', 'x', '$', '#', '-', "'", '\u0000'),
      fc.boolean(),
      (at, sign, isInserted) => {
        const text = line.slice(0, at) + sign + line.slice(at + (isInserted ? 0 : 1))
        const fast = readJsonLine(text, sources)?.root
        if (fast === undefined) return
        const { root, errors } = slow(text)
        expect({ errors, root: root && shape(root) }).toEqual({ errors: [], root: shape(fast) })
      },
    ),
    { numRuns: 500 },
  )
})
