/** `regis schema`: the JSON Schema of proxy.yaml, for editors. */
import type { Command } from 'commander'
import { renderJsonSchema } from '../config/pages.ts'
import { type CliContext, examples } from './context.ts'

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('schema')
    .description('print the JSON Schema (draft-7) of proxy.yaml')
    .action(() => void context.stdout.write(renderJsonSchema()))
  examples(
    verb,
    'regis schema > proxy.schema.json',
    "regis schema | jq '.properties.routing'",
    'regis schema | sha256sum    # the same for the same version',
  )
}
