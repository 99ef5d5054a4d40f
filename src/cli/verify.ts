/** `regis verify`: are the promises to readers kept, through the proxies that run? ~ sockets, through src/verify/. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError, loadConfig } from '../config/load.ts'
import { formatAddress, Problem, parseDuration } from '../config/values.ts'
import type { Target } from '../verify/peer.ts'
import { Prober } from '../verify/prober.ts'
import { pageOf, reportOf } from '../verify/report.ts'
import { type CliContext, configOption, examples, exitCodes, regionOption } from './context.ts'

interface VerifyOptions {
  readonly config: string
  readonly region?: string
  readonly target: readonly Address[]
  readonly admin: readonly Address[]
  readonly user?: string
  readonly password?: string
  readonly adminToken?: string
  readonly duration: number
  readonly rate: number
  readonly json?: true
}

interface Address {
  readonly host: string
  readonly port: number
}

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('verify')
    .description('write and read through running proxies and check every promise: exit 0 when all held, else 1')
    .addOption(configOption())
    .addOption(regionOption())
    .addOption(
      new Option('--target <host:port>', 'a proxy to go through, instead of the one of the configuration; repeatable')
        .default([], 'the first listener without TLS')
        .argParser(addresses),
    )
    .addOption(
      new Option(
        '--admin <host:port>',
        'admin address of each --target, in the same order: tells where reads were answered',
      )
        .default([], "the configuration's")
        .argParser(addresses),
    )
    .option('--user <name>', 'log in as this user of a tenant, instead of the first that may write')
    .option('--password <text>', 'its password; better in REGIS_PASSWORD, which is not seen in lists of processes')
    .option('--admin-token <text>', 'token of the admin addresses; better in REGIS_ADMIN_TOKEN')
    .addOption(new Option('--duration <time>', 'how long').default(30_000, '30s').argParser(duration))
    .addOption(new Option('--rate <reads>', 'reads a second through each proxy, about').default(500).argParser(rate))
    .option('--json', 'as JSON')
    .action(async (options: VerifyOptions) => {
      const targets = targetsOf(options, context)
      const names = targets.map(({ name }) => name)
      const { duration: durationMs, rate: readsPerSecond } = options
      if (!options.json)
        context.stderr.write(`verifying through ${names.join(', ')} for ${Math.round(durationMs / 100) / 10} s ...\n`)
      const report = reportOf(await new Prober({ targets, durationMs, readsPerSecond }).run(), names)
      context.stdout.write(options.json ? `${JSON.stringify(report)}\n` : pageOf(report))
      context.exit(report.ok ? exitCodes.ok : exitCodes.runtime)
    })
  examples(
    verb,
    'regis verify -c proxy.yaml --duration 30s',
    'regis verify -c proxy.yaml --duration 5m --json',
    'regis verify --target 127.0.0.1:6380 --target 127.0.0.1:6382 --admin 127.0.0.1:9380 --admin 127.0.0.1:9382 --user shop-app --password demo',
  )
}

function targetsOf(options: VerifyOptions, context: CliContext): readonly Target[] {
  const password = options.password ?? context.env['REGIS_PASSWORD']
  const token = options.adminToken ?? context.env['REGIS_ADMIN_TOKEN']
  if (options.target.length > 0) {
    return options.target.map((address, i) => {
      const admin = options.admin[i]
      return {
        name: formatAddress(address.host, address.port),
        ...address,
        ...(options.user === undefined ? {} : { user: options.user }),
        ...(password === undefined ? {} : { password }),
        ...(admin === undefined ? {} : { admin: { ...admin, ...(token === undefined ? {} : { token }) } }),
      }
    })
  }
  const region = options.region === undefined ? {} : { region: options.region }
  const { config, errors } = loadConfig(options.config, { env: context.env, ...region })
  if (config === undefined) throw new ConfigError(errors)
  const listener = config.listeners.find(({ tls, proxyProtocol }) => tls === undefined && !proxyProtocol)
  if (listener === undefined) throw new Error('no listener without TLS and PROXY protocol: give --target')
  const users = config.tenants.flatMap((tenant) => tenant.users)
  const user = users.find(
    ({ name, readOnly, passwords, nopass }) =>
      name === options.user ||
      (options.user === undefined && !readOnly && (passwords.length > 0 || nopass || password !== undefined)),
  )
  if (user === undefined)
    throw new Error('no user of a tenant that may write has its password in the file: give --user')
  const secret = password ?? user.passwords[0]
  if (secret === undefined && !user.nopass)
    throw new Error(`the file has no password of ${user.name}: set REGIS_PASSWORD`)
  const adminToken = token ?? config.admin.token
  return [
    {
      name: config.region,
      host: reachable(listener.host),
      port: listener.port,
      user: user.name,
      ...(secret === undefined ? {} : { password: secret }),
      admin: {
        host: reachable(config.admin.host),
        port: config.admin.port,
        ...(adminToken === undefined ? {} : { token: adminToken }),
      },
    },
  ]
}

/** Bound to every interface is bound to loopback too. */
function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}

function addresses(text: string, before: readonly Address[]): readonly Address[] {
  const [, host, port] = /^(?:\[?([^[\]]*?)\]?:)?(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new InvalidArgumentError('expected HOST:PORT')
  return [...before, { host: host === undefined || host === '' ? '127.0.0.1' : host, port: Number(port) }]
}

function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms instanceof Problem) throw new InvalidArgumentError(ms.text)
  if (ms < 1_000) throw new InvalidArgumentError('at least 1s, so that each level has its turn')
  return ms
}

function rate(text: string): number {
  const value = Number(text)
  if (!(value >= 1 && value <= 100_000)) throw new InvalidArgumentError('expected a number from 1 to 100000')
  return value
}
