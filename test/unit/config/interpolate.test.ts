import { interpolate } from '../../../src/config/interpolate.ts'

const files: Record<string, string> = { '/run/secret': 'hunter2\n', '/two': 'a\n\n', '/dollars': '${HOME}$$' }
const sources = {
  env: { NAME: 'value', EMPTY: '', OTHER: 'o', DOLLARS: '${NAME}$$' },
  readFile: (path: string) => {
    const text = files[path]
    return text === undefined ? { problem: 'no such file' } : { text }
  },
}
const run = (text: string) => interpolate(text, sources)

test.each([
  ['plain', 'plain'],
  ['${NAME}', 'value'],
  ['a${NAME}b${OTHER}c', 'avaluebo' + 'c'],
  ['${EMPTY}', ''],
  ['${MISSING:-default}', 'default'],
  ['${EMPTY:-default}', 'default'],
  ['${NAME:-default}', 'value'],
  ['${MISSING:-}', ''],
  ['${MISSING:-${NAME}}', 'value'],
  ['${MISSING:-a${ALSO:-b}c}', 'abc'],
  ['${NAME:?message}', 'value'],
  ['${file:/run/secret}', 'hunter2'],
  ['${file:/two}', 'a\n'],
  ['${file:/run/${ALSO:-secret}}', 'hunter2'],
  ['$$', '$'],
  ['$${NAME}', '${NAME}'],
  ['$$$$', '$$'],
  ['$NAME and $', '$NAME and $'],
  ['scrypt$16384$8$1$c2FsdA==$aGFzaA==', 'scrypt$16384$8$1$c2FsdA==$aGFzaA=='],
])('%s becomes %s', (text, expected) => expect(run(text)).toMatchObject({ text: expected, problems: [] }))

test('what was replaced is not looked at again', () => {
  expect(run('${DOLLARS}').text).toBe('${NAME}$$')
  expect(run('${file:/dollars}').text).toBe('${HOME}$$')
})

test.each([
  ['x${MISSING}', 1, 'the variable MISSING is not set'],
  ['${MISSING:?set it}', 0, 'the variable MISSING is not set: set it'],
  ['${EMPTY:?set it}', 0, 'the variable EMPTY is not set: set it'],
  ['${file:/nope}', 0, 'cannot read the file /nope: no such file'],
  ['${file:}', 0, '${file:} names no file'],
  ['ab${NAME', 2, "'${' without its '}' (write $$ for a plain $)"],
  ['${NAME-x}', 0, 'expected ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path} (write $$ for a plain $)'],
  ['${}', 0, 'expected ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path} (write $$ for a plain $)'],
])('%s is a problem', (text, index, message) => expect(run(text).problems).toEqual([{ index, message }]))

test('all problems of a scalar are found', () => expect(run('${A} ${B}').problems).toHaveLength(2))

test('it says whether anything came from outside', () => {
  expect(run('$$').replaced).toBe(false)
  expect(run('${A:-b}').replaced).toBe(true)
})
