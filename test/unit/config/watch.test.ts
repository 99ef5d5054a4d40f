import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { FileWatch } from '../../../src/config/watch.ts'
import { waitFor } from '../../kit/wait-for.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'regis-watch-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => path.join(folder, name)

/** Looks ten milliseconds apart. */
async function watching(files: readonly string[]) {
  const world = { count: 0 }
  const watch = new FileWatch(() => void world.count++, 10)
  await watch.wereRead(files, new Map())
  const looks = (n: number) => new Promise((resolve) => setTimeout(resolve, n * 25))
  return { watch, world, looks }
}

test('a change is told once, whatever it is; none is told when there is none', async () => {
  writeFileSync(at('a'), '1')
  const { watch, world, looks } = await watching([at('a'), at('absent')])
  await looks(5)
  expect(world.count).toBe(0)
  writeFileSync(at('a'), '22')
  await waitFor(() => world.count === 1)
  writeFileSync(at('new'), '33')
  renameSync(at('new'), at('a'))
  await waitFor(() => world.count === 2)
  writeFileSync(at('absent'), '1')
  await waitFor(() => world.count === 3)
  unlinkSync(at('absent'))
  await waitFor(() => world.count === 4)
  await looks(5)
  expect(world.count).toBe(4)
  watch.stop()
  writeFileSync(at('a'), '55555')
  await looks(5)
  expect(world.count).toBe(4)
})

test('a link that is swapped two folders up is a change', async () => {
  for (const name of ['one', 'two']) writeFileSync(at(name), 'the same')
  symlinkSync('one', at('data'))
  symlinkSync('data', at('link'))
  const { watch, world } = await watching([at('link')])
  symlinkSync('two', at('tmp'))
  renameSync(at('tmp'), at('data'))
  await waitFor(() => world.count === 1)
  watch.stop()
})

test('what is written between the look and the read is news', async () => {
  writeFileSync(at('b'), '1')
  const { watch, world } = await watching([at('b')])
  const before = await watch.states()
  writeFileSync(at('b'), '22')
  await watch.wereRead([at('b')], before)
  await waitFor(() => world.count === 1)
  watch.stop()
})
