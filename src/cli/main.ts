/**
 * The command line: one program, one file a verb. ~ the process's streams and environment. Exit codes: 0 ok, 1 runtime,
 * 2 usage, 78 configuration.
 */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/load.ts'
import { register as check } from './check.ts'
import { type CliContext, examples, exitCodes } from './context.ts'
import { register as demo } from './demo.ts'
import { register as explain } from './explain.ts'
import { register as hashPassword } from './hash-password.ts'
import { register as healthcheck } from './healthcheck.ts'
import { register as init } from './init.ts'
import { register as reload } from './reload.ts'
import { register as run } from './run.ts'
import { register as schema } from './schema.ts'
import { registerStatus, registerTop } from './status.ts'
import { register as verify } from './verify.ts'
import { register as version, versionText } from './version.ts'

/** In the order of the help. */
const verbs = [
  ...[run, check, reload, verify, demo, explain, registerStatus, registerTop],
  ...[hashPassword, init, schema, healthcheck, version],
]

/** Resolves with the exit code when the verb has ended. Never rejects. */
export async function main(argv: readonly string[], given: Partial<Omit<CliContext, 'exit'>> = {}): Promise<number> {
  let code: number = exitCodes.ok
  const context: CliContext = {
    stdin: given.stdin ?? process.stdin,
    stdout: given.stdout ?? process.stdout,
    stderr: given.stderr ?? process.stderr,
    env: given.env ?? process.env,
    exit: (set) => {
      code = set
    },
  }
  // `regis schema | head`: the reader has seen enough.
  const onPipeError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  }
  context.stdout.on('error', onPipeError)
  try {
    await program(context).parseAsync(argv)
    return code
  } catch (error) {
    // commander has said what was wrong, with a suggestion.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    if (error instanceof ConfigError) {
      context.stderr.write(`${error.message}\n`)
      return exitCodes.config
    }
    const isDebugging = (context.env['REGIS_DEBUG'] ?? '') !== ''
    const text = error instanceof Error ? ((isDebugging ? error.stack : undefined) ?? error.message) : String(error)
    context.stderr.write(`regis: ${text}\n`)
    return exitCodes.runtime
  } finally {
    // That of what was written last comes a turn later.
    setImmediate(() => context.stdout.removeListener('error', onPipeError))
  }
}

export function program(context: CliContext): Command {
  const regis = new Command('regis')
    .description('A region-aware, multi-tenant proxy for the Redis protocol.')
    .version(versionText(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this, or the help of a verb')
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
    })
    .showHelpAfterError('(add --help for the options and examples)')
    .exitOverride()
  examples(regis, 'regis demo', 'regis init && regis check', 'regis run -c proxy.yaml --region eu-west')
  regis.addHelpText('after', '\nExit codes: 0 ok, 1 runtime, 2 usage, 78 configuration.')
  for (const register of verbs) register(regis, context)
  return regis
}
