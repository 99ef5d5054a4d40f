/** `regis status`, once, and `regis top`, again and again: what a running proxy sees and does. ~ timers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { Problem, parseDuration } from '../config/values.ts'
import { type Admin, type AdminOptions, adminOf, adminOptions, askOrFail } from './admin-api.ts'
import { type CliContext, examples } from './context.ts'
import { figuresOf, type Look, type RegionAnswer, renderFigures, type StatusAnswer } from './status-view.ts'

interface StatusOptions extends AdminOptions {
  readonly json?: true
}
interface TopOptions extends StatusOptions {
  readonly interval: number
  readonly count?: number
}

export function registerStatus(program: Command, context: CliContext): void {
  const verb = adminOptions(
    program
      .command('status')
      .description('ask a running proxy once: regions, nodes, lag, tenants, latencies since its start'),
  )
    .option('--json', 'as JSON')
    .action(async (options: StatusOptions) => {
      const figures = figuresOf(await look(adminOf(options, context)))
      context.stdout.write(options.json ? `${JSON.stringify(figures)}\n` : renderFigures(figures))
    })
  examples(
    verb,
    'regis status',
    'regis status -c /etc/regis/proxy.yaml --region ap-south --json',
    'regis status --url http://127.0.0.1:9380',
  )
}

export function registerTop(program: Command, context: CliContext): void {
  const verb = adminOptions(
    program.command('top').description('the same as status for the time between two looks, until Ctrl-C'),
  )
    .addOption(new Option('--interval <time>', 'time between looks').default(2000, '2s').argParser(interval))
    .addOption(new Option('--count <n>', 'end after so many').argParser(count))
    .option('--json', 'one line of JSON each time')
    .action(async (options: TopOptions) => {
      const admin = adminOf(options, context)
      const redraws = options.json !== true && 'isTTY' in context.stdout && context.stdout.isTTY === true
      let earlier = await look(admin)
      for (let shown = 0; shown < (options.count ?? Number.POSITIVE_INFINITY); shown++) {
        await sleep(options.interval)
        const now = await look(admin)
        const figures = figuresOf(now, earlier)
        earlier = now
        if (options.json) context.stdout.write(`${JSON.stringify(figures)}\n`)
        // Home, the new screen, and what is left of the old one away.
        else context.stdout.write(redraws ? `\x1b[H\x1b[2J${renderFigures(figures)}` : `${renderFigures(figures)}\n`)
      }
    })
  examples(verb, 'regis top', 'regis top --interval 500ms --url http://127.0.0.1:9382', 'regis top --count 10 --json')
}

async function look(admin: Admin): Promise<Look> {
  const [status, regions, page] = await Promise.all(
    ['/api/v1/status', '/api/v1/regions', '/metrics'].map((path) => askOrFail(admin, path)),
  )
  return {
    atMs: performance.now(),
    status: JSON.parse(status!) as StatusAnswer,
    regions: JSON.parse(regions!) as RegionAnswer[],
    page: page!,
  }
}

function interval(text: string): number {
  const ms = parseDuration(text)
  if (ms instanceof Problem) throw new InvalidArgumentError(ms.text)
  if (ms < 100) throw new InvalidArgumentError('100ms or more.')
  return ms
}

function count(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number from 1.')
  return value
}
