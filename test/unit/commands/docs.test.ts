import { readFileSync } from 'node:fs'
import path from 'node:path'
import { renderCommandsPage } from '../../../src/commands/docs.ts'
import { buildCommandTable } from '../../../src/commands/lookup.ts'

const table = buildCommandTable()
const page = renderCommandsPage(table)

test('docs/commands.md is what the table says', () => {
  expect(readFileSync(path.join(__dirname, '../../../docs/commands.md'), 'utf8')).toBe(page)
})

test('each command stands on the page once, with its reason', () => {
  const lines = page.split('\n')
  for (const spec of table.specs) {
    const found = lines.filter((line) => line.startsWith(`| \`${spec.name.toUpperCase().replace('|', ' ')}\` |`))
    expect([spec.name, found.length]).toEqual([spec.name, spec.isContainer && spec.name !== 'command' ? 0 : 1])
    if (spec.why !== undefined && found.length > 0) expect(page).toContain(spec.why)
  }
})
