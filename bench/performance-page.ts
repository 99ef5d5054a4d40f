/**
 * The generated parts of docs/performance.md: between `<!-- NAME -->` and `<!-- /NAME -->` stands what the results in
 * docs/performance/ say, so that no figure there is typed by hand. Pure, but for `renewPage`, which reads and writes them. ~
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Verdict, verdictHead, verdictRows } from './bars.ts'
import type { GrowthResult } from './growth.bench.ts'
import { growthPlots, growthTable } from './growth-table.ts'
import type { Facts } from './machine.ts'
import { type LeftOut, type Summary, tableHead, tableRows } from './report.ts'
import { markdownTable } from './text-table.ts'

/** What a run of cells leaves behind, without its samples. */
export interface CellsResult {
  readonly machine: Facts
  readonly versions: Readonly<Record<string, string>>
  readonly settings: {
    readonly rounds: number
    readonly seconds: number
    readonly plain: boolean
    readonly pinned: boolean
  }
  readonly summaries: readonly Summary[]
  readonly leftOut: readonly LeftOut[]
  readonly verdicts: readonly Verdict[]
}

export interface Results {
  readonly acceptance?: CellsResult
  readonly wide?: CellsResult
  readonly growth?: GrowthResult
}

export const resultNames = ['acceptance', 'wide', 'growth'] as const

const where = (
  machine: Facts,
  settings: { readonly rounds: number; readonly seconds: number; readonly pinned: boolean },
) =>
  `${machine['cpu']}, Linux ${machine['kernel']}, Node ${machine['node']}, commit ${machine['commit']}, ${machine['date']?.slice(0, 10)}; ` +
  `load before it ${machine['load']}; ${settings.rounds} rounds of ${settings.seconds} s${settings.pinned ? ', pinned' : ''}`

function cellsSection({ machine, versions, settings, summaries, leftOut }: CellsResult): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const rows = tableRows(summaries, leftOut).filter((row) => row.length > 0)
  return [
    `${where(machine, settings)}; ${settings.plain ? 'no quotas, no scrapes' : 'quotas and a scrape a second'}. ${programs.join(', ')}.`,
    '',
    markdownTable(
      tableHead,
      rows.map((row) => [...row, ...Array.from({ length: tableHead.length - row.length }, () => '')]),
    ),
  ].join('\n')
}

/** What stands between the marks, by their names. */
export function sections({ acceptance, wide, growth }: Results): Map<string, string> {
  const found = new Map<string, string>()
  if (acceptance !== undefined) {
    found.set('verdicts', markdownTable(verdictHead, verdictRows(acceptance.verdicts)))
    found.set('acceptance', cellsSection(acceptance))
  }
  if (wide !== undefined) found.set('wide', cellsSection(wide))
  if (growth !== undefined) {
    found.set('growth', `${where(growth.machine, growth.settings)}.`)
    for (const dimension of growth.dimensions) {
      const parts = growthTable(dimension).map(({ key, title, head, rows }) =>
        [`![${title}](performance/${key}.svg)`, '', markdownTable(head, rows)].join('\n'),
      )
      found.set(`growth-${dimension.key}`, parts.join('\n\n'))
    }
  }
  return found
}

/** The page with its generated parts as these results say. Throws where a part has no marks on the page. */
export function renderPage(page: string, results: Results): string {
  let text = page
  for (const [name, content] of sections(results)) {
    const marks = new RegExp(`<!-- ${name} -->\\n[^]*?<!-- /${name} -->`)
    if (!marks.test(text)) throw new Error(`docs/performance.md has no marks for ${name}`)
    text = text.replace(marks, () => `<!-- ${name} -->\n${content}\n<!-- /${name} -->`)
  }
  return text
}

export function readResults(docs: string): Results {
  const read = (name: string): unknown => {
    const file = path.join(docs, 'performance', `${name}.json`)
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  }
  return Object.fromEntries(resultNames.map((name) => [name, read(name)]).filter(([, value]) => value !== undefined))
}

/** Writes the page and its plots anew from what lies in docs/performance/, after putting this result there. */
export function keepResult(docs: string, name: (typeof resultNames)[number], result: CellsResult | GrowthResult): void {
  const folder = path.join(docs, 'performance')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`)
  renewPage(docs)
}

export function renewPage(docs: string): void {
  const results = readResults(docs)
  const page = path.join(docs, 'performance.md')
  writeFileSync(page, renderPage(readFileSync(page, 'utf8'), results))
  for (const dimension of results.growth?.dimensions ?? []) {
    for (const { key, svg } of growthPlots(dimension)) writeFileSync(path.join(docs, 'performance', `${key}.svg`), svg)
  }
}
