/** Runs the command line inside the test. */
import { Readable, Writable } from 'node:stream'
import { main } from '../../../src/cli/main.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function regis(
  args: readonly string[],
  given: { env?: Record<string, string>; stdin?: string } = {},
): Promise<Ran> {
  const texts = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk, _encoding, done) {
        texts[name] += String(chunk)
        done()
      },
    })
  const code = await main(['node', 'regis', ...args], {
    stdin: Readable.from([Buffer.from(given.stdin ?? '')]),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    env: given.env ?? {},
  })
  return { code, ...texts }
}
