/** PROXY EXPLAIN for operators, who name a user and write a command as redis-cli takes it: the same answer with a status. */
import { type Explainer, forOperator } from '../explain.ts'
import { splitInline } from '../resp/inline.ts'
import { levelByName } from '../routing/levels.ts'
import type { SessionAccount } from '../session/session.ts'
import type { Explained } from './http.ts'

export function explainByHttp(
  explainer: Pick<Explainer, 'ofUser'>,
  account: SessionAccount | undefined,
  command: string,
  level: string | undefined,
): Explained {
  if (account === undefined) return { status: 404, error: 'no such user' }
  const code = level === undefined ? undefined : levelByName(level)
  if (level !== undefined && code === undefined) return { status: 400, error: 'no such level' }
  const args = splitInline(Buffer.from(command))
  if (args === undefined || args.length === 0)
    return { status: 400, error: 'command: a command as redis-cli takes it, quotes closed' }
  return { status: 200, explained: forOperator(explainer.ofUser(account, args, code)) }
}
