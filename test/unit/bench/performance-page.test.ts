import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { judge } from '../../../bench/bars.ts'
import { settings } from '../../../bench/growth.ts'
import { growthPlots, growthTable, looks } from '../../../bench/growth-table.ts'
import { type CellsResult, type Results, readResults, renderPage, sections } from '../../../bench/performance-page.ts'
import { summarize } from '../../../bench/report.ts'
import { measured } from './samples.ts'

const docs = path.join(import.meta.dirname, '../../../docs')
const page = readFileSync(path.join(docs, 'performance.md'), 'utf8')

const summaries = [measured('direct', [1]), measured('twemproxy', [4]), measured('regis', [1])].map(summarize)
const machine = {
  cpu: '2 x some',
  kernel: '6.1',
  node: 'v20',
  commit: 'abc',
  date: '2026-01-02T03:04:05Z',
  load: '0.10',
}
const cells: CellsResult = {
  machine,
  versions: { redis: '7.0.15' },
  settings: { rounds: 5, seconds: 1, plain: false, pinned: true },
  summaries,
  leftOut: [{ cell: 'get:128:50:16', target: 'predixy', why: 'it is not here' }],
  verdicts: judge(summaries, [{ cell: 'get:128:50:16', figure: 'cpu', base: 'twemproxy', must: 0.28 }], ['regis']),
}
const figures = (cpu: number) => ({
  cpuUs: { median: cpu, iqr: 0.05 },
  perSecond: { median: 1000, iqr: 0 },
  ...{ p50Ms: 1, p99Ms: 2, p999Ms: 3, rssBytes: 64 * 2 ** 20 },
})
const line = (name: string, key: keyof typeof settings) => ({
  name,
  points: settings[key].map((x, i) => ({ x, ...figures(i + 1) })),
})
const all: Results = {
  acceptance: cells,
  wide: cells,
  growth: {
    machine,
    settings: { rounds: 3, seconds: 0.5, pinned: true },
    dimensions: (Object.keys(settings) as (keyof typeof settings)[]).map((key) => ({
      key,
      lines: (looks[key].parts ?? ['']).flatMap((part) => [line(`${part}direct`, key), line(`${part}regis`, key)]),
    })),
  },
}

describe('docs/performance.md', () => {
  test('says what the results beside it say', () => {
    expect(renderPage(page, readResults(docs))).toBe(page)
  })

  test('shows the plots of these results', () => {
    for (const dimension of readResults(docs).growth?.dimensions ?? []) {
      for (const { key, svg } of growthPlots(dimension)) {
        const file = path.join(docs, 'performance', `${key}.svg`)
        expect(existsSync(file) && readFileSync(file, 'utf8')).toBe(svg)
      }
    }
  })

  test('has a place for every part, and what stood there goes', () => {
    const rendered = renderPage(page, all)
    for (const [name, content] of sections(all)) {
      expect(rendered).toContain(`<!-- ${name} -->\n${content}\n<!-- /${name} -->`)
    }
    expect(rendered).not.toContain('Not measured yet')
    expect(renderPage(rendered, all)).toBe(rendered)
    expect(() => renderPage(page.replace('<!-- wide -->', ''), all)).toThrow('no marks for wide')
  })
})

describe('growth', () => {
  test('a row for each setting, and the largest beside the smallest', () => {
    const [table] = growthTable({ key: 'rules', lines: [line('regis', 'rules')] })
    expect(table?.rows).toEqual([
      ['0', '1.00 ±5%'],
      ['10', '2.00 ±5%'],
      ['100', '3.00 ±5%'],
      ['1000', '4.00 ±5%'],
      ['1000 / 0', '4.00'],
    ])
  })

  test('memory has a table and a plot of its own, without redis, which holds the values', () => {
    const [cpu, memory] = growthTable({ key: 'clients', lines: [line('direct', 'clients'), line('regis', 'clients')] })
    expect(cpu?.head.slice(1)).toEqual(['redis, us', 'regis, us'])
    expect(memory?.head.slice(1)).toEqual(['regis, MiB'])
    expect(memory?.rows[0]).toEqual(['1', '64'])
  })

  test('GET and SET are told apart', () => {
    const keys = growthPlots({ key: 'size', lines: [line('GET regis', 'size'), line('SET regis', 'size')] })
    expect(keys.map(({ key }) => key)).toEqual(['size-get', 'size-set', 'size-get-memory', 'size-set-memory'])
  })
})
