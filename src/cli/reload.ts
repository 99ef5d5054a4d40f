/** `regis reload`: a running proxy takes its configuration as the file is now; what has changed, or why it was refused. */
import type { Command } from 'commander'
import type { Change } from '../config/changes.ts'
import type { Diagnostic } from '../config/load.ts'
import { type AdminOptions, adminOf, adminOptions, ask, refusedBy } from './admin-api.ts'
import { type CliContext, count, examples, exitCodes, writeDiagnostics } from './context.ts'
import { table } from './table.ts'

interface ReloadOptions extends AdminOptions {
  readonly dryRun?: true
  readonly json?: true
}

/** As the admin API answers it. */
interface Answered {
  readonly error?: string
  readonly errors?: readonly Diagnostic[]
  readonly warnings?: readonly Diagnostic[]
  readonly changes?: readonly Change[]
}

/** Reading a file with a hundred thousand tenants takes ten seconds. */
const timeoutText = '60s'

export function register(program: Command, context: CliContext): void {
  const verb = adminOptions(
    program
      .command('reload')
      .description('make a running proxy take its configuration as the file is now, whole or not at all'),
    timeoutText,
  )
    .option('--dry-run', 'only say what would become of it')
    .option('--json', 'as JSON')
    .action((options: ReloadOptions) => reload(options, context))
  examples(
    verb,
    'regis reload -c /etc/regis/proxy.yaml',
    'regis reload --dry-run',
    'REGIS_ADMIN_TOKEN=... regis reload --url http://10.0.0.7:9380 --json | jq .changes',
  )
}

async function reload(options: ReloadOptions, context: CliContext): Promise<void> {
  const admin = adminOf(options, context)
  const answer = await ask(admin, options.dryRun ? '/-/reload?dry_run=1' : '/-/reload', 'POST')
  if (answer.status !== 200 && answer.status !== 422) throw refusedBy(admin, answer)
  const isTaken = answer.status === 200
  const answered = JSON.parse(answer.body) as Answered
  if (options.json) context.stdout.write(`${JSON.stringify({ ok: isTaken, ...answered }, null, 2)}\n`)
  else writeText(answered, isTaken, options.dryRun === true, context)
  context.exit(isTaken ? exitCodes.ok : exitCodes.config)
}

function writeText(
  { errors = [], warnings = [], changes = [] }: Answered,
  isTaken: boolean,
  isDryRun: boolean,
  context: CliContext,
): void {
  // A refused change has its place in the file, the others are listed.
  writeDiagnostics([...errors, ...warnings], context)
  if (changes.length > 0) {
    const rows = changes.map((change) => [
      change.path,
      change.what,
      change.before ?? '',
      change.after ?? '',
      change.class === 'live' ? '' : change.class === 'restart' ? 'needs a restart' : 'refused',
    ])
    context.stdout.write(table(['key', '', 'was', 'is', ''], rows))
  }
  const what = changes.length === 0 ? 'nothing differs' : count(changes.length, 'change')
  if (isTaken) context.stdout.write(`${isDryRun ? 'would be taken' : 'taken'}: ${what}\n`)
  else context.stderr.write(`refused, nothing has changed: ${count(errors.length, 'error')}\n`)
}
