/**
 * Every generated page of the repository, as a list of (path, render): one test compares all of them with what is
 * committed, `npm run docs` writes them. ~ writes files when it is run as a program.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type ErrorRow, errors } from '../base/errors.ts'
import { renderCommandsPage } from '../commands/docs.ts'
import { buildCommandTable } from '../commands/lookup.ts'
import { renderConfigPage, renderJsonSchema } from '../config/pages.ts'
import { renderMetricsPage } from '../metrics/page.ts'
import { renderQuotasPage } from '../quota/page.ts'

export interface Page {
  /** From the top of the repository. */
  readonly path: string
  render(): string
}

export const pages: readonly Page[] = [
  { path: 'config/schema.json', render: renderJsonSchema },
  { path: 'docs/config.md', render: renderConfigPage },
  { path: 'docs/errors.md', render: () => renderErrorsPage(errors) },
  { path: 'docs/commands.md', render: () => renderCommandsPage(buildCommandTable()) },
  { path: 'docs/metrics.md', render: renderMetricsPage },
  { path: 'docs/quotas.md', render: renderQuotasPage },
]

const fates: Readonly<Record<ErrorRow['fate'], string>> = {
  notExecuted: 'not executed',
  unknown: 'unknown',
  done: 'done',
}

export function renderErrorsPage(table: Readonly<Record<string, ErrorRow>>): string {
  const rows = Object.entries(table).map(([code, row]) => {
    const text = `-${row.text}`.replaceAll('|', '\\|').replaceAll('%s', '...')
    return `| ${code} | \`${text}\` | ${fates[row.fate]} | ${row.closes ? 'closes' : ''} | ${row.when.replaceAll('|', '\\|')} |`
  })
  return `# Errors

Generated from the table of errors by \`npm run docs\`; do not edit. These are the errors that Regis itself writes; all others
come from Redis, and are passed on as they are, names of keys without the tenant's prefix.

What became of the command: *not executed* is safe to repeat; *unknown* was sent, its reply was lost, and it is never
sent again by Regis; *done* was executed. \`...\` is filled in. \`-NOAUTH\`, \`-WRONGPASS\`, \`-NOPERM\`, \`-MASTERDOWN\` and
\`-TRYAGAIN\` are Redis's own words; \`-UNCERTAIN\` is new, for Redis has none for it.

| code in the source | what the client reads | the command was | connection | when |
|---|---|---|---|---|
${rows.join('\n')}
`
}

export function writePages(root: string): void {
  for (const page of pages) writeFileSync(path.join(root, page.path), page.render())
}

const isProgram = process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href
if (isProgram) writePages(fileURLToPath(new URL('../../', import.meta.url)))
