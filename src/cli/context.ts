/** What a verb is handed instead of reaching for the process, so that tests can hand in their own; and what verbs share. */
import { type Command, Option } from 'commander'
import { type Diagnostic, formatDiagnostic } from '../config/load.ts'

export interface CliContext {
  /** Sets the exit code; the verb then ends by returning. */
  exit(code: number): void
  readonly stdin?: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  readonly env: Readonly<Record<string, string | undefined>>
}

/** 78 is EX_CONFIG of sysexits.h: systemd's RestartPreventExitStatus=78 stops a restart loop over a bad file. */
export const exitCodes = { ok: 0, runtime: 1, usage: 2, config: 78 } as const

export const defaultConfigFile = 'proxy.yaml'

/** `-c`, for verbs that read a configuration. */
export function configOption(): Option {
  return new Option('-c, --config <file>', 'the configuration').default(defaultConfigFile)
}
export function regionOption(): Option {
  return new Option('--region <name>', 'where this proxy runs, instead of what the file says')
}

export function examples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`)
}

/** Colours only for a person: not into files and pipes, not with NO_COLOR (any value but the empty one). */
export function usesColor(stream: NodeJS.WritableStream, env: CliContext['env']): boolean {
  const isTerminal = 'isTTY' in stream && stream.isTTY === true
  return isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}

const colors = { red: 31, green: 32, yellow: 33, bold: 1 } as const
export function paint(text: string, color: keyof typeof colors, isOn: boolean): string {
  return isOn ? `\u001b[${colors[color]}m${text}\u001b[0m` : text
}

export function writeDiagnostics(diagnostics: readonly Diagnostic[], context: CliContext): void {
  const isOn = usesColor(context.stderr, context.env)
  for (const diagnostic of diagnostics) {
    const [head, ...source] = formatDiagnostic(diagnostic).split('\n')
    const caret = source.pop()
    context.stderr.write(`${paint(head!, 'bold', isOn)}\n`)
    for (const line of source) context.stderr.write(`${line}\n`)
    if (caret !== undefined)
      context.stderr.write(`${paint(caret, diagnostic.severity === 'error' ? 'red' : 'yellow', isOn)}\n`)
  }
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
