/** `regis version`. ~ reads package.json. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type CliContext, examples } from './context.ts'

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('version')
    .description('print the version')
    .option('--json', 'as JSON, with the versions of Node and the platform')
    .action((options: { json?: true }) => {
      const versions = {
        version: versionText(),
        node: process.versions.node,
        platform: `${process.platform}-${process.arch}`,
      }
      context.stdout.write(options.json ? `${JSON.stringify(versions)}\n` : `${versions.version}\n`)
    })
  examples(verb, 'regis version', 'regis version --json', 'regis --version')
}

/** From package.json, which is two folders up from src/cli/ and from dist/cli/ alike. */
export function versionText(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}
