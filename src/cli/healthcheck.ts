/** `regis healthcheck`: asks a running proxy whether it is ready; for container health checks. ~ one HTTP request. */
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError, loadConfig } from '../config/load.ts'
import { formatAddress, Problem, parseDuration } from '../config/values.ts'
import { type CliContext, configOption, examples, exitCodes, regionOption } from './context.ts'

interface HealthOptions {
  readonly config: string
  readonly region?: string
  readonly url?: string
  readonly timeout: number
  readonly json?: true
}

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('healthcheck')
    .description('ask the admin address of a running proxy whether it is ready: exit 0, else 1')
    .addOption(configOption())
    .addOption(regionOption())
    .addOption(new Option('--url <url>', 'ask here instead of where the configuration says').argParser(url))
    .addOption(new Option('--timeout <time>', 'at most this long').default(2000, '2s').argParser(timeout))
    .option('--json', 'as JSON')
    .action(async (options: HealthOptions) => {
      const target = options.url ?? adminUrl(options, context)
      const answer = await ask(new URL('/readyz', target), options.timeout)
      const isReady = answer.status === 200
      const detail = answer.problem ?? `${answer.status} ${answer.body.trim().split('\n')[0] ?? ''}`.trim()
      if (options.json) context.stdout.write(`${JSON.stringify({ ready: isReady, url: target, ...answer })}\n`)
      else if (isReady) context.stdout.write('ready\n')
      else context.stderr.write(`regis healthcheck: ${target} is not ready: ${detail}\n`)
      context.exit(isReady ? exitCodes.ok : exitCodes.runtime)
    })
  examples(
    verb,
    'regis healthcheck',
    'regis healthcheck -c /etc/regis/proxy.yaml --timeout 500ms',
    'regis healthcheck --url http://127.0.0.1:9380',
  )
}

function adminUrl(options: HealthOptions, context: CliContext): string {
  const region = options.region === undefined ? {} : { region: options.region }
  const { config, errors } = loadConfig(options.config, { env: context.env, ...region })
  if (config === undefined) throw new ConfigError(errors)
  const { host, port } = config.admin
  // Bound to every interface is bound to loopback too.
  return `http://${formatAddress(host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port)}`
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly problem?: string
}

/** Never rejects. */
function ask(target: URL, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = (problem: string) => resolve({ status: 0, body: '', problem })
    const get = target.protocol === 'https:' ? getHttps : getHttp
    const request = get(target, { agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        if (body.length < 64 * 1024) body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', (error) => fail(error.message))
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
    request.on('error', (error: NodeJS.ErrnoException) =>
      fail(error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.message),
    )
    request.on('close', () => clearTimeout(timer))
  })
}

function url(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) throw new InvalidArgumentError('expected http://HOST:PORT')
  return text
}

function timeout(text: string): number {
  const ms = parseDuration(text)
  if (ms instanceof Problem) throw new InvalidArgumentError(ms.text)
  return ms
}
