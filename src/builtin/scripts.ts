/**
 * SCRIPT and FUNCTION where they speak of more than one script: a tenant sees, forgets and stops its own, never another's.
 * What brings and runs code goes upstream: src/scripts/.
 */
import { errorText } from '../base/errors.ts'
import { array, bulk, failure, integer, map, nil, ok, type Reply } from '../resp/encode.ts'
import { librariesIn } from '../scripts/functions.ts'
import { isError } from '../scripts/script-reply.ts'
import type { Session } from '../session/session.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'

export const scriptBuiltins: Readonly<Record<string, Builtin>> = {
  'script|exists': {
    run: (args, session, host) => {
      const registry = host.scriptsOf(session)?.registry
      return array(
        args.slice(2).map((sha) => integer(registry?.has(sha.toString('latin1').toLowerCase()) === true ? 1 : 0)),
      )
    },
  },
  'script|flush': {
    run: (args, session, host) => {
      if (!isFlush(args)) return failure(errorText('SCRIPT_FLUSH_OPTION'))
      host.scriptsOf(session)?.registry.clear()
      return ok
    },
  },
  'script|kill': { run: (_args, session, host) => kill(session, host) },
  'function|kill': { run: (_args, session, host) => kill(session, host) },
  'function|flush': {
    run: async (args, session, host) => {
      if (args.length > 3)
        return failure(errorText('SUBCOMMAND_ARGS', args[1]!.toString('latin1').slice(0, 128), 'FUNCTION'))
      if (!isFlush(args)) return failure(errorText('FUNCTION_FLUSH_OPTION'))
      const tenant = session.account!.tenant!
      const remove = (name: string): Promise<Buffer | undefined> => host.askPrimary(['FUNCTION', 'DELETE', name])
      return host.durably(tenant, async () => (await eachLibrary(session, host, remove)) ?? ok)
    },
  },
  'function|stats': {
    run: async (_args, session, host) => {
      let libraries = 0
      let functions = 0
      const failed = await eachLibrary(session, host, (_name, count) => {
        libraries++
        functions += count
        return Promise.resolve(undefined)
      })
      const counts = map([
        [bulk('libraries_count'), integer(libraries)],
        [bulk('functions_count'), integer(functions)],
      ])
      return (
        failed ??
        map([
          [bulk('running_script'), nil],
          [bulk('engines'), map([[bulk('LUA'), counts]])],
        ])
      )
    },
  },
}

/** SCRIPT FLUSH or FUNCTION FLUSH, with nothing or one known word behind it. */
function isFlush(args: readonly Buffer[]): boolean {
  const word = args[2]?.toString('latin1').toLowerCase()
  return args.length <= 3 && (word === undefined || word === 'sync' || word === 'async')
}

async function kill(session: Session, host: BuiltinHost): Promise<Reply> {
  const answer = await host.killScript(session)
  if (answer === undefined) return failure(errorText('NOT_BUSY'))
  return answer === 'OK' ? ok : failure(answer)
}

/** The tenant's libraries, under their upstream names; undefined, or the error that came instead. */
async function eachLibrary(
  session: Session,
  host: BuiltinHost,
  run: (name: string, functions: number) => Promise<Buffer | undefined>,
): Promise<Reply | undefined> {
  const mine = host.scriptsOf(session)
  if (mine === undefined || !mine.hasFunctions) return failure(errorText('NOPERM', 'function'))
  const { mark } = mine
  const list = await host.askPrimary(['FUNCTION', 'LIST', 'LIBRARYNAME', `${mark}*`])
  if (list === undefined) return failure(errorText('NO_PRIMARY'))
  if (isError(list)) return failure(list.toString('latin1', 1).trim())
  for (const { name, functions } of librariesIn(list)) {
    if (!name.startsWith(mark)) continue
    const reply = await run(name, functions)
    if (reply !== undefined && isError(reply)) return failure(reply.toString('latin1', 1).replaceAll(mark, '').trim())
  }
  return undefined
}
