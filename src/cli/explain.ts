/** `regis explain`: asks a running proxy what would become of a command of one of its users, and why. */
import { type Command, Option } from 'commander'
import { levelNames } from '../routing/levels.ts'
import { type AdminOptions, adminOf, adminOptions, askOrFail, encodeQuery } from './admin-api.ts'
import { type CliContext, examples } from './context.ts'
import { milliseconds, table } from './table.ts'

interface ExplainOptions extends AdminOptions {
  readonly user: string
  readonly level?: string
  readonly json?: true
}

interface ToldOutcome {
  readonly answered_by: string
  readonly region: string | null
  readonly node: string | null
  readonly role: string | null
  readonly error: string | null
  readonly why: string
}

/** What /api/v1/explain answers (src/explain.ts, forOperator), as far as it is shown. */
export interface Told extends ToldOutcome {
  readonly command: string
  readonly kind: string
  readonly tenant: string | null
  readonly user: string
  readonly keys: readonly { readonly key: string; readonly upstream: string }[]
  readonly key_count: number
  readonly rule: { readonly keys: string; readonly index: number; readonly pin: boolean } | null
  readonly level: string | null
  readonly level_from: string | null
  readonly max_staleness_ms: number | null
  readonly when_stale: string | null
  readonly epoch: number
  readonly candidates: readonly {
    readonly region: string
    readonly node: string
    readonly role: string
    readonly local: boolean
    readonly chosen: boolean
    readonly rtt_ms: number | null
    readonly staleness_ms: number | null
    readonly watermark: number
    readonly obstacle: string
    readonly because: string
    readonly detail: string
  }[]
  readonly other_levels: readonly (ToldOutcome & { readonly asked: string; readonly level: string })[]
}

export function register(program: Command, context: CliContext): void {
  const verb = adminOptions(
    program
      .command('explain')
      .description('ask a running proxy where a command of a user would go, and why; nothing is sent to a server')
      .argument('<command>', "as redis-cli takes it, in one argument: 'GET k'")
      .requiredOption('--user <name>', 'the login whose command it is'),
  )
    .addOption(new Option('--level <level>', 'as if the connection had asked for it').choices([...levelNames]))
    .option('--json', 'as JSON')
    .action(async (command: string, options: ExplainOptions) => {
      const query = `user=${encodeQuery(options.user)}&command=${encodeQuery(command)}`
      const level = options.level === undefined ? '' : `&level=${options.level}`
      const body = await askOrFail(adminOf(options, context), `/api/v1/explain?${query}${level}`)
      context.stdout.write(options.json ? body : renderExplanation(JSON.parse(body) as Told))
    })
  examples(
    verb,
    "regis explain --user shop-app 'GET cart:1'",
    "regis explain --user shop-app --level strong 'MGET a b' --json",
    "regis explain --url http://127.0.0.1:9382 --user analytics-app 'GET a'",
  )
}

export function renderExplanation(it: Told): string {
  const lines: [string, string][] = [
    [
      'command',
      `${it.command || '?'} (${it.kind}) of ${it.user}, ${it.tenant === null ? 'an operator' : `tenant ${it.tenant}`}`,
    ],
  ]
  const more = it.key_count > it.keys.length ? `, and ${it.key_count - it.keys.length} more` : ''
  if (it.keys.length > 0)
    lines.push(['keys', it.keys.map(({ key, upstream }) => `${key} -> ${upstream}`).join(', ') + more])
  if (it.level !== null) {
    const bound = it.max_staleness_ms === null ? '' : `, at most ${it.max_staleness_ms} ms old`
    lines.push(['level', `${it.level}, by ${it.level_from}${bound}; when stale: ${it.when_stale}`])
  }
  if (it.rule !== null)
    lines.push(['rule', `routing.rules[${it.rule.index}] keys ${it.rule.keys}${it.rule.pin ? ', pinned' : ''}`])
  lines.push(['answer', `${place(it)}: ${it.why}`])
  const width = Math.max(...lines.map(([name]) => name.length))
  let text = lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('')
  if (it.candidates.length > 0) {
    const rows = it.candidates.map((one) => [
      one.chosen ? '*' : '',
      one.region,
      one.node,
      one.role,
      milliseconds(one.rtt_ms),
      milliseconds(one.staleness_ms),
      String(one.watermark),
      one.obstacle === 'none' ? 'may answer' : one.because + (one.detail === '' ? '' : ` (${one.detail})`),
    ])
    text += `\n${table(['', 'REGION', 'NODE', 'ROLE', 'RTT', 'AGE AT MOST', 'MARK', ''], rows)}`
  }
  if (it.other_levels.length > 0) {
    const rows = it.other_levels.map((one) => [
      one.asked,
      one.level === one.asked ? '' : `(pinned: ${one.level})`,
      place(one),
      one.why,
    ])
    text += `\n${table(['IF ASKED FOR', '', 'ANSWER', ''], rows)}`
  }
  return text
}

function place(it: ToldOutcome): string {
  if (it.answered_by === 'node') return `${it.region} (${it.role})`
  return it.answered_by === 'proxy' ? 'the proxy' : `-${it.error}`
}
