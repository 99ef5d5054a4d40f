import { libraryHeaderError, libraryHeaderOf, scriptHeaderLength } from '../../../src/scripts/shebang.ts'

test.each([
  ['return 1', 0],
  ['', 0],
  ['#', 0],
  ['#!lua\nreturn 1', 6],
  ['#!lua flags=no-writes,allow-stale\nreturn 1', 34],
  ['#!lua flags=\r\nreturn 1', 14],
  ['#!lua', -1],
  ['#!python\n', -1],
  ['#!lua name=x\n', -1],
  ['#!"lua"\n', -1],
  ['#!lua "flags=x\\r\\n+INJ"\n', -1],
  ['#!lua flags=x\r\n+INJ\n', 15],
  [`#!lua flags=${'a'.repeat(2000)}\n`, -1],
])('first line of %j', (body, expected) => {
  expect(scriptHeaderLength(Buffer.from(body))).toBe(expected)
})

test('libraries have a name and nothing else', () => {
  expect(libraryHeaderOf(Buffer.from('#!lua name=my_lib1\nx'))).toEqual({ name: 'my_lib1', length: 19 })
  expect(libraryHeaderOf(Buffer.from('#!LUA  NAME=x \nx'))).toEqual({ name: 'x', length: 15 })
  for (const code of [
    'x',
    '#!lua name=x',
    '#!lua\nx',
    '#!lua name=a-b\nx',
    '#!js name=x\nx',
    '#!lua name="x\nx',
    '#! name=x\nx',
  ]) {
    expect([code, libraryHeaderOf(Buffer.from(code))]).toEqual([code, undefined])
    expect([code, libraryHeaderError(Buffer.from(code))]).toEqual([code, expect.stringMatching(/^ERR [^\r\n]+$/)])
  }
  expect(libraryHeaderError(Buffer.from('#!lua name=x\nx'))).toBeUndefined()
  expect(libraryHeaderOf(Buffer.from('#!lua name="x"\nx'))).toEqual({ name: 'x', length: 15 })
  expect(libraryHeaderError(Buffer.from('#! name=x\nx'))).toBe("ERR Engine '' not found")
})

test('a name that is none is called so in the words of Redis, whatever can be printed is in it', () => {
  for (const name of ['a-b', 'bad\\0format', 'a:b', 'a/b'])
    expect(libraryHeaderError(Buffer.from(`#!lua name=${name}\nx`))).toMatch(
      /^ERR Library names can only contain letters/,
    )
})

test('what is refused is never repeated with signs that end a line', () => {
  for (const code of ['#!"zz\\r\\n+INJ" name=x\nx', '#!lua name=x w="\\r\\n"\nx', '#!\x01\x02 name=x\nx'])
    expect(libraryHeaderError(Buffer.from(code))).toBe('ERR Invalid library metadata')
})
