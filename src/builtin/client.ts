/** CLIENT and its subcommands: facts and settings of the client's own connection. Ids are the proxy's. */
import { errorText } from '../base/errors.ts'
import { clientNameBytesMax } from '../base/limits.ts'
import { bulk, failure, integer, nil, ok, type Reply } from '../resp/encode.ts'
import {
  modeMonitor,
  modeMulti,
  modeSubscriber,
  modeTracking,
  replyOff,
  replyOn,
  replySkipNext,
  type Session,
} from '../session/session.ts'
import { redirectOf, trackingInfo } from '../session/tracking.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'

/** Redis's rule for names: printable ASCII without blanks (networking.c, validateClientAttr); and ours: not without end. */
export function isPlainWord(text: string): boolean {
  return text.length <= clientNameBytesMax && /^[!-~]*$/.test(text)
}

export const clientBuiltins: Readonly<Record<string, Builtin>> = {
  'client|id': { run: (_args, session) => integer(session.id) },
  'client|getname': { run: (_args, session) => (session.name === '' ? nil : bulk(session.name)) },
  'client|setname': {
    run: (args, session) => {
      const name = args[2]!.toString('latin1')
      if (!isPlainWord(name)) return failure(errorText('CLIENT_NAME'))
      session.name = name
      return ok
    },
  },
  'client|setinfo': { run: setInfo },
  'client|info': {
    run: (_args, session, host) => ({ kind: 'verbatim', value: `${describe(session, host)}\n` }),
  },
  'client|reply': {
    isStateful: true,
    run: (args, session) => {
      const mode = args[2]!.toString('latin1').toLowerCase()
      if (mode === 'on') {
        session.replyMode = replyOn
        return ok
      }
      if (mode === 'off') session.replyMode = replyOff
      else if (mode === 'skip') {
        if (session.replyMode === replyOn) session.replyMode = replySkipNext
      } else return failure(errorText('SYNTAX'))
      return undefined
    },
  },
  'client|getredir': { isStateful: true, run: (_args, session) => integer(redirectOf(session)) },
  'client|trackinginfo': { isStateful: true, run: (_args, session) => trackingInfo(session) },
  // What a client of Valkey says it could take (redirect); nothing of it is ever used, and words unknown are passed over.
  'client|capa': { run: () => ok },
  'client|no-evict': { run: (args) => onOrOff(args[2]!) },
  'client|no-touch': { run: (args) => onOrOff(args[2]!) },
}

function onOrOff(arg: Buffer): Reply {
  const word = arg.toString('latin1').toLowerCase()
  return word === 'on' || word === 'off' ? ok : failure(errorText('SYNTAX'))
}

function setInfo(args: readonly Buffer[], session: Session): Reply {
  const attribute = args[2]!.toString('latin1').toLowerCase()
  const value = args[3]!.toString('latin1')
  if (attribute !== 'lib-name' && attribute !== 'lib-ver') {
    return failure(errorText('CLIENT_INFO_OPTION', args[2]!.toString('latin1').slice(0, 128)))
  }
  if (!isPlainWord(value)) return failure(errorText('CLIENT_INFO_VALUE', attribute))
  if (attribute === 'lib-name') session.libName = value
  else session.libVer = value
  return ok
}

/**
 * One line of CLIENT LIST: the fields of Redis 7.0 in its order, since some clients read them by a pattern, and the library's
 * name and version as Redis 7.2 has them. What the proxy has no number for is 0.
 */
export function describe(session: Session, host: BuiltinHost): string {
  const nowMs = host.now()
  const seconds = (ms: number): number => Math.max(0, Math.floor(ms / 1000))
  const { sub, psub, ssub, multi, blocked } = host.stateOf(session)
  const flags = [
    blocked ? 'b' : '',
    (session.mode & modeMonitor) !== 0 ? 'O' : '',
    (session.mode & modeSubscriber) !== 0 ? 'P' : '',
    (session.mode & modeMulti) !== 0 ? 'x' : '',
    (session.mode & modeTracking) !== 0 ? 't' : '',
  ].join('')
  const output = session.socket.writableLength
  return [
    `id=${session.id}`,
    `addr=${session.remote}`,
    `laddr=${session.local}`,
    'fd=0',
    `name=${session.name}`,
    `age=${seconds(nowMs - session.openedAtMs)}`,
    `idle=${seconds(nowMs - session.lastActiveMs)}`,
    `flags=${flags === '' ? 'N' : flags}`,
    `db=${session.database}`,
    `sub=${sub}`,
    `psub=${psub}`,
    `ssub=${ssub}`,
    `multi=${multi}`,
    `qbuf=${session.pendingBytes}`,
    'qbuf-free=0',
    'argv-mem=0',
    'multi-mem=0',
    'rbs=0',
    'rbp=0',
    'obl=0',
    `oll=${output > 0 ? 1 : 0}`,
    `omem=${output}`,
    `tot-mem=${session.pendingBytes + output}`,
    'events=r',
    `cmd=${session.lastCommand === '' ? 'NULL' : session.lastCommand}`,
    `user=${session.account?.user ?? '(superuser)'}`,
    `redir=${redirectOf(session)}`,
    `resp=${session.resp}`,
    `lib-name=${session.libName}`,
    `lib-ver=${session.libVer}`,
  ].join(' ')
}
