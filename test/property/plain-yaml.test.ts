/** A plain file has the same nodes, by the fast reader and by the library; what the fast one is not sure of it leaves alone. */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { type Node, readDocument } from '../../src/config/document.ts'
import { readPlainYaml } from '../../src/config/plain-yaml.ts'

const sources = {
  env: { SET: 'value', SHOP_PASSWORD: 'x' },
  readFile: (name: string) => (name === 'there' ? { text: 'contents\n' } : { problem: 'no such file' }),
}

function shape(node: Node): unknown {
  const { start } = node
  if (node.kind === 'map')
    return { start, map: [...node.entries].map(([name, { key, node: of }]) => [name, key.start, key.end, shape(of)]) }
  if (node.kind === 'list') return { start, list: node.items.map(shape) }
  const { end, text, written, replaced, empty, failed } = node
  return { start, end, text, written, replaced, empty, failed }
}

/** True: the fast one took it, and both are alike. */
function compare(text: string): boolean {
  const fast = readPlainYaml(text, sources)
  if (fast === undefined) return false
  const { root, errors, warnings } = readDocument(text, sources, () => false)
  expect({ text, errors, warnings, root: root && shape(root) }).toEqual({
    text,
    errors: [],
    warnings: [],
    root: shape(fast),
  })
  return true
}

const files = ['proxy.yaml', ...readdirSync('config/examples').map((name) => `config/examples/${name}`)]

test('the files that come with Regis are read alike, and most of them by the fast reader', () => {
  const taken = files.map((file) => compare(readFileSync(file, 'utf8')))
  expect(taken.filter(Boolean).length).toBeGreaterThanOrEqual(2)
})

const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'shop-app', '0123', '${SET}', '"q"', '[a, "b"]', '{ a: b, c: [d] }') },
  fc.constantFrom(
    'a',
    'shop-app',
    '0123',
    'null',
    'true',
    '1.50',
    '10/m',
    'redis://h:6379',
    '127.0.0.1:80',
    '${SET}',
    '$$',
    'a$b',
    'x{y}',
    '~',
    '-',
    '-a',
    '*a',
    '&a',
    '!t',
    'a: b',
    'a #b',
    'a#b',
    'a b',
    '"q"',
    "'s'",
    '"a\\n"',
    "'it''s'",
    '|',
    '>',
    '@a',
    '%a',
    'a:',
    '?a',
    '? a',
    ',',
    'é',
    '"é # : {"',
    '[]',
    '{}',
    '[a, "b"]',
    '{ a: b, c: [d, { e: f }] }',
    '{a: b}',
    '{ a: }',
    '{ a }',
    '[a,b]',
    '[ a , ]',
    '{ "a":b }',
    '{ a: b:c }',
    '{ a: ${SET} }',
    '- a',
    '---',
    '...',
    '<<',
    '',
  ),
  fc.string({ unit: fc.constantFrom(...'ab0-:#\'"{}[], $&*!|>%@`?~./\\='), maxLength: 6 }),
)
const name = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: fc.constantFrom(...'abcdefgh'), minLength: 1, maxLength: 2 }) },
  fc.constantFrom('a', 'b', 'c-d', 'e.f', '0', 'null', '<<', '__proto__', '"q"', 'k k', ''),
  word,
)
const comment = fc.constantFrom('', '', '', ' # c', '#c', '  ')

/** Lines of anything, deeper and less deep by chance: most are no YAML, many are nearly. */
const block: fc.Arbitrary<string[]> = fc.letrec<{ block: string[] }>((tie) => ({
  block: fc
    .array(
      fc.oneof(
        { depthSize: 'small', maxDepth: 4 },
        fc.tuple(name, word, comment).map(([k, v, c]) => [`${k}: ${v}${c}`]),
        fc.tuple(word, comment).map(([v, c]) => [`- ${v}${c}`]),
        fc.constantFrom(['# comment'], [''], ['  # deeper']),
        fc
          .tuple(name, comment, fc.constantFrom('  ', '    ', ' ', ''), tie('block'))
          .map(([k, c, indent, inner]) => [`${k}:${c}`, ...inner.map((line) => indent + line)]),
        fc
          .tuple(fc.constantFrom('- ', '-   '), tie('block'))
          .map(([dash, inner]) => inner.map((line, i) => (i === 0 ? dash : ' '.repeat(dash.length)) + line)),
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((parts) => parts.flat()),
})).block

test('whatever the fast reader takes, the library takes to the same nodes', () => {
  let taken = 0
  fc.assert(
    fc.property(block, (lines) => {
      if (compare(lines.join('\n'))) taken++
    }),
    { numRuns: Number(process.env['RUNS'] ?? 3_000) },
  )
  expect(taken).toBeGreaterThan(150)
})

test('a good file with one sign changed is read alike, or left to the library', () => {
  const text = readFileSync('proxy.yaml', 'utf8')
  let taken = 0
  fc.assert(
    fc.property(
      fc.nat(text.length - 1),
      fc.constantFrom(...'\n \t:-#\'"{}[],a$&*|\\?'),
      fc.boolean(),
      (at, sign, isInserted) => {
        if (compare(text.slice(0, at) + sign + text.slice(at + (isInserted ? 0 : 1)))) taken++
      },
    ),
    { numRuns: 300 },
  )
  expect(taken).toBeGreaterThan(50)
})
