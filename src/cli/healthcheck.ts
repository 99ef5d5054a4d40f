/** `regis healthcheck`: asks a running proxy whether it is ready; for container health checks. */
import type { Command } from 'commander'
import { type AdminOptions, adminOf, adminOptions, ask } from './admin-api.ts'
import { type CliContext, examples, exitCodes } from './context.ts'

interface HealthOptions extends AdminOptions {
  readonly json?: true
}

export function register(program: Command, context: CliContext): void {
  const verb = adminOptions(
    program
      .command('healthcheck')
      .description('ask the admin address of a running proxy whether it is ready: exit 0, else 1'),
  )
    .option('--json', 'as JSON')
    .action(async (options: HealthOptions) => {
      const admin = adminOf(options, context)
      const answer = await ask(admin, '/readyz')
      const isReady = answer.status === 200
      const detail = answer.problem ?? `${answer.status} ${answer.body.trim().split('\n')[0] ?? ''}`.trim()
      if (options.json) context.stdout.write(`${JSON.stringify({ ready: isReady, url: admin.url, ...answer })}\n`)
      else if (isReady) context.stdout.write('ready\n')
      else context.stderr.write(`regis healthcheck: ${admin.url} is not ready: ${detail}\n`)
      context.exit(isReady ? exitCodes.ok : exitCodes.runtime)
    })
  examples(
    verb,
    'regis healthcheck',
    'regis healthcheck -c /etc/regis/proxy.yaml --timeout 500ms',
    'regis healthcheck --url http://127.0.0.1:9380',
  )
}
