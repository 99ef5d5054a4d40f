/** The shape of src/: rooms import to the left only, and only marked windows touch the world (test/kit/layout.ts). */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { layoutViolations, windows } from '../kit/layout.ts'

const src = path.join(__dirname, '../../src')

test('every file of src keeps to its room, and only windows touch the world', () => {
  const files: Record<string, string> = {}
  for (const entry of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    const name = entry.split(path.sep).join('/')
    if (!name.endsWith('.ts') || name.endsWith('.d.ts') || name.endsWith('.generated.ts')) continue
    files[name] = readFileSync(path.join(src, entry), 'utf8')
  }
  expect(Object.keys(files).length).toBeGreaterThan(10)
  expect(layoutViolations(files)).toEqual([])
})

test('the list of windows names only what exists', () => {
  expect(Object.keys(windows).filter((name) => !existsSync(path.join(src, name)))).toEqual([])
})

describe('the checker', () => {
  const allowed = {
    'base/clock.ts': 'test',
    'demo/': 'test',
    'upstream/turn.ts': { only: ['setImmediate'], why: 'test' },
  }
  const check = (name: string, text: string) => layoutViolations({ [name]: text }, allowed)

  test.each([
    ['a room to the right', 'base/x.ts', `import { y } from '../resp/y.ts'`],
    ['its type', 'base/x.ts', `import type { Y } from '../resp/y.ts'`],
    ['a re-export of one', 'resp/x.ts', `export { y } from '../session/y.ts'`],
    ['a dynamic import of one', 'resp/x.ts', `const f = async () => (await import('../session/y.ts')).y`],
    ['the file of a room that is one file', 'session/x.ts', `import { y } from '../request-path.ts'`],
    ['a deeper folder', 'resp/deep/x.ts', `import { y } from '../../config/y.ts'`],
    ['no room', 'base/x.ts', `import { y } from '../helpers/y.ts'`],
    ['from no room', 'helpers/x.ts', 'export const y = 1'],
    ['a socket', 'resp/x.ts', `import { connect } from 'node:net'`],
    ['a socket under a pure name', 'resp/x.ts', `import { isIP, connect as isIPv4 } from 'node:net'`],
    ['a file', 'resp/x.ts', `import fs from 'node:fs/promises'`],
    ['a package that opens sockets', 'regions/x.ts', `import { Redis } from 'ioredis'`],
    ['a timer', 'session/x.ts', 'export const f = (g: () => void) => { setTimeout(g, 1) }'],
    [
      'a timer inside a class',
      'session/x.ts',
      'export class A { #t = 1; f() { const t = setInterval(() => {}, 5); return t } }',
    ],
    ['a timer as a default', 'session/x.ts', 'export const f = (later = setImmediate) => later'],
    ['a timer of globalThis', 'session/x.ts', 'export const f = () => globalThis.setTimeout(() => {}, 1)'],
    ['a timer in a template', 'session/x.ts', 'export const f = () => `$' + '{setTimeout(() => {}, 1)}`'],
    ['stdout', 'resp/x.ts', `export const f = () => { process.stdout.write('') }`],
    ['console', 'resp/x.ts', `export const f = () => { console.log('') }`],
    ['the clock', 'regions/x.ts', 'export const f = () => performance.now() as number'],
    ['the other clock', 'regions/x.ts', 'export const f = () => Date.now()!'],
    ['that clock in another dress', 'regions/x.ts', 'export const f = () => new Date().getTime()'],
    ['a narrow window that does more', 'upstream/turn.ts', 'setImmediate(() => setTimeout(() => {}, 1))'],
    ['a window without its mark', 'base/clock.ts', '/** Time. */\nexport const f = () => performance.now() // ~'],
  ])('catches %s', (_, name, text) => {
    expect(check(name, text)).toHaveLength(1)
  })

  test.each([
    ['a room to the left', 'session/x.ts', `import { y } from '../resp/y.ts'`],
    ['its own room', 'session/deep/x.ts', `import { y } from '../y.ts'`],
    ['the type of a socket', 'session/x.ts', `import type { Socket } from 'node:net'\nexport type S = Socket`],
    ['pure names of such a module', 'resp/x.ts', `import { isIP, type Socket } from 'node:net'\nexport const f = isIP`],
    ['modules without effects', 'resp/x.ts', `import { createHash } from 'node:crypto'\nexport const h = createHash`],
    ['names in comments and strings', 'resp/x.ts', `// setTimeout\nexport const t = 'console.log(Date.now())'`],
    [
      'a property of that name',
      'resp/x.ts',
      'export const f = (s: { setTimeout(ms: number): void }) => s.setTimeout(1)',
    ],
    ['an option of that name', 'resp/x.ts', 'export const o = { setTimeout: 1, console: 2 }'],
    ['a date that is given', 'resp/x.ts', 'export const f = (ms: number) => new Date(ms)'],
    ['a narrow window that does its own', 'upstream/turn.ts', 'setImmediate(() => {})'],
    ['a marked window', 'base/clock.ts', '/** Time. ~ touches the clock. */\nexport const f = () => performance.now()'],
    [
      'a window that is a room',
      'demo/x.ts',
      `/** ~ timers */\nimport { setTimeout as sleep } from 'node:timers/promises'\nexport { sleep }`,
    ],
  ])('lets pass %s', (_, name, text) => {
    expect(check(name, text)).toEqual([])
  })
})
