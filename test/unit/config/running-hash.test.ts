/** The hash that operators see is that of the configuration that runs. */
import { Slices } from '../../../src/base/slices.ts'
import { configHash } from '../../../src/config/print.ts'
import { RunningHash } from '../../../src/config/running-hash.ts'
import { good, load } from './kit.ts'

const configOf = (more: string) => load(good + more).config!

test('a configuration that was replaced while its hash was made is not the one that is told', async () => {
  const [before, after] = [configOf(''), configOf('\nlogging: { level: debug }\n')]
  let running = before
  const hash = new RunningHash(() => running)
  const first = await hash.get()
  const asked = hash.get()
  running = after
  expect(first).toBe(await configHash(before, new Slices()))
  expect(await asked).not.toBe(first)
  expect(await asked).toBe(await hash.get())
})
