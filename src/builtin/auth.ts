/** AUTH, HELLO, ACL WHOAMI: who a connection is, and which RESP it speaks. Whether a password fits: tenant/identity. */
import { type ErrorCode, errorText } from '../base/errors.ts'
import { array, bulk, failure, integer, map, ok, type Reply } from '../resp/encode.ts'
import type { Session, SessionAccount } from '../session/session.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'
import { isPlainWord } from './client.ts'

export const authBuiltins: Readonly<Record<string, Builtin>> = {
  auth: { isStateful: true, run: auth },
  hello: { isStateful: true, run: hello },
  'acl|whoami': { run: (_args, session) => bulk(session.account?.user ?? 'default') },
}

function auth(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply | Promise<Reply> {
  if (args.length > 3) return failure(errorText('SYNTAX'))
  if (args.length === 2 && host.isDefaultOpen) return failure(errorText('NO_DEFAULT_PASSWORD'))
  const user = args.length === 3 ? args[1]!.toString('utf8') : 'default'
  const outcome = host.authenticate(session, user, args[args.length - 1]!)
  const finish = (account: SessionAccount | undefined): Reply => {
    if (account === undefined) return failure(errorText('WRONGPASS'))
    return refused(session, host.login(session, account)) ?? ok
  }
  return outcome instanceof Promise ? outcome.then(finish) : finish(outcome)
}

/** Its answer, after which the connection ends. */
function refused(session: Session, why: ErrorCode | undefined): Reply | undefined {
  if (why === undefined) return undefined
  session.isEnding = true
  return failure(errorText(why))
}

function hello(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply | Promise<Reply> {
  let version: 2 | 3 = session.resp
  if (args.length > 1) {
    const text = args[1]!.toString('latin1')
    if (!/^-?\d{1,18}$/.test(text)) return failure(errorText('HELLO_VERSION'))
    if (text !== '2' && text !== '3') return failure(errorText('NOPROTO'))
    if (text === '3' && host.lacksResp3) return failure(errorText('NOPROTO'))
    version = text === '3' ? 3 : 2
  }
  let login: { user: string; password: Buffer } | undefined
  let name: string | undefined
  for (let i = 2; i < args.length; ) {
    const option = args[i]!.toString('latin1').toLowerCase()
    if (option === 'auth' && i + 2 < args.length) {
      login = { user: args[i + 1]!.toString('utf8'), password: args[i + 2]! }
      i += 3
    } else if (option === 'setname' && i + 1 < args.length) {
      name = args[i + 1]!.toString('latin1')
      if (!isPlainWord(name)) return failure(errorText('CLIENT_NAME'))
      i += 2
    } else return failure(errorText('HELLO_OPTION', args[i]!.toString('latin1').slice(0, 128)))
  }
  const greet = (): Reply => {
    if (session.account === undefined) return failure(errorText('NOAUTH_HELLO'))
    if (name !== undefined) session.name = name
    if (session.resp !== version) {
      session.resp = version
      host.versionChanged(session)
    }
    return map([
      [bulk('server'), bulk('redis')],
      [bulk('version'), bulk(host.serverVersion())],
      [bulk('proto'), integer(version)],
      [bulk('id'), integer(session.id)],
      [bulk('mode'), bulk('standalone')],
      [bulk('role'), bulk('master')],
      [bulk('modules'), array([])],
    ])
  }
  if (login === undefined) return greet()
  const outcome = host.authenticate(session, login.user, login.password)
  const finish = (account: SessionAccount | undefined): Reply => {
    if (account === undefined) return failure(errorText('WRONGPASS'))
    return refused(session, host.login(session, account)) ?? greet()
  }
  return outcome instanceof Promise ? outcome.then(finish) : finish(outcome)
}
