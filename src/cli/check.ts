/** `regis check`: everything that is wrong with a configuration at once; with --connect, with its nodes too. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import type { Config } from '../config/config.ts'
import { type Loaded, loadConfig, redactedConfig } from '../config/load.ts'
import {
  type CliContext,
  configOption,
  count,
  examples,
  exitCodes,
  paint,
  regionOption,
  usesColor,
  writeDiagnostics,
} from './context.ts'
import type { NodeReport } from './node-report.ts'
import type { SentinelReport } from './sentinels.ts'

interface CheckOptions {
  readonly config: string
  readonly region?: string
  readonly connect?: true
  readonly print?: true
  readonly json?: true
}

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('check')
    .description('check a configuration: all errors at once, each with its place')
    .addOption(configOption())
    .addOption(regionOption())
    .option('--connect', 'log in to every node too, and show role, version, round trip and lag; ask the Sentinels')
    .option('--print', 'show the effective configuration, secrets as ***')
    .option('--json', 'as JSON')
    .action((options: CheckOptions) => check(options, context))
  examples(
    verb,
    'regis check',
    'regis check -c /etc/regis/proxy.yaml --region us-east --connect',
    'regis check --print --json | jq .config.routing',
  )
}

async function check(options: CheckOptions, context: CliContext): Promise<void> {
  const region = options.region === undefined ? {} : { region: options.region }
  const loaded = loadConfig(options.config, { env: context.env, ...region })
  const { config } = loaded
  let connected: Connected
  if (config !== undefined && options.connect) {
    // Loaded here, since ioredis takes 40 ms that a plain check need not.
    const { inspectNodes } = await import('./connect.ts')
    const { judge } = await import('./node-report.ts')
    const { inspectSentinels, judgeSentinels } = await import('./sentinels.ts')
    const [nodes, sentinels] = await Promise.all([inspectNodes(config), inspectSentinels(config)])
    const warnings = [...judge(nodes, config), ...judgeSentinels(sentinels, config)]
    connected = { nodes, ...(sentinels.length > 0 ? { sentinels } : {}), warnings }
  }
  if (options.json) writeJson(options, context, loaded, connected)
  else await writeText(options, context, loaded, connected)
  const isReached = connected?.nodes.every((node) => node.problem === undefined) ?? true
  context.exit(config === undefined ? exitCodes.config : isReached ? exitCodes.ok : exitCodes.runtime)
}

type Connected =
  | {
      readonly nodes: readonly NodeReport[]
      readonly sentinels?: readonly SentinelReport[]
      readonly warnings: readonly string[]
    }
  | undefined

function writeJson(options: CheckOptions, context: CliContext, loaded: Loaded, connected: Connected): void {
  const { config, errors, warnings } = loaded
  const shown = config !== undefined && options.print ? { config: redactedConfig(config) } : {}
  const result = {
    file: options.config,
    ok: config !== undefined,
    errors,
    warnings,
    ...shown,
    ...(connected && { connect: connected }),
  }
  context.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
}

async function writeText(
  options: CheckOptions,
  context: CliContext,
  loaded: Loaded,
  connected: Connected,
): Promise<void> {
  const { config, errors, warnings } = loaded
  writeDiagnostics([...errors, ...warnings], context)
  const isOn = usesColor(context.stdout, context.env)
  if (config === undefined) {
    context.stderr.write(`${options.config}: ${count(errors.length, 'error')}, ${count(warnings.length, 'warning')}\n`)
    return
  }
  if (options.print) context.stdout.write(stringify(redactedConfig(config)))
  if (connected !== undefined) {
    const { renderNodes } = await import('./node-report.ts')
    context.stdout.write(renderNodes(connected.nodes))
    if (connected.sentinels !== undefined) {
      const { renderSentinels } = await import('./sentinels.ts')
      context.stdout.write(renderSentinels(connected.sentinels))
    }
    for (const warning of connected.warnings) context.stderr.write(`${paint('warning:', 'yellow', isOn)} ${warning}\n`)
  }
  // What is printed may be piped into a file: the verdict stays out of it.
  const verdict = `${options.config}: ${paint('ok', 'green', isOn)} (${summary(config)}), ${count(warnings.length, 'warning')}\n`
  if (options.print) context.stderr.write(verdict)
  else context.stdout.write(verdict)
}

function summary(config: Config): string {
  const nodes = config.regions.reduce((sum, region) => sum + region.nodes.length, 0)
  return `${count(config.tenants.length, 'tenant')}, ${count(nodes, 'node')} in ${count(config.regions.length, 'region')}, this one is ${config.region}`
}
