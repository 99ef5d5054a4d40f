/** PING, ECHO, QUIT, RESET, SELECT, READONLY, READWRITE: what concerns one connection and nothing else. */
import { errorText } from '../base/errors.ts'
import { array, bulk, failure, ok, simple } from '../resp/encode.ts'
import { LEVEL } from '../routing/choose.ts'
import { modeSubscriber, replyOn } from '../session/session.ts'
import { databaseOf } from '../tenant/databases.ts'
import type { Builtin } from './builtin.ts'

export const connectionBuiltins: Readonly<Record<string, Builtin>> = {
  ping: {
    run: (args, session) => {
      if (args.length > 2) return failure(errorText('WRONG_ARITY', 'ping'))
      // As a message, so that a RESP2 client can tell it from those (server.c, pingCommand).
      if (session.resp === 2 && (session.mode & modeSubscriber) !== 0) return array([bulk('pong'), bulk(args[1] ?? '')])
      return args[1] === undefined ? simple('PONG') : bulk(args[1])
    },
  },
  echo: { run: (args) => bulk(args[1]!) },
  quit: {
    isStateful: true,
    run: (_args, session) => {
      session.isEnding = true
      return ok
    },
  },
  reset: {
    isStateful: true,
    run: (_args, session, host) => {
      session.name = ''
      session.resp = 2
      session.replyMode = replyOn
      session.level = -1
      host.logout(session)
      return simple('RESET')
    },
  },
  select: {
    isSelecting: true,
    run: (args, session) => {
      const name = args[1]!
      const argv = { buf: name, count: 1, off: new Int32Array(1), len: Int32Array.of(name.length) }
      const database = databaseOf(argv, 0, session.account?.tenant?.prefixes.length ?? 1)
      if (typeof database === 'string') return failure(errorText(database))
      session.select(database)
      return ok
    },
  },
  readonly: {
    isStateful: true,
    run: (_args, session) => {
      session.level = LEVEL.eventual
      return ok
    },
  },
  readwrite: {
    isStateful: true,
    run: (_args, session) => {
      session.level = -1
      return ok
    },
  },
}
