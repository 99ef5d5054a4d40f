/** Results of growth as tables and as plots. Pure. */
import type { Dimension, DimensionKey, GrowthPoint } from './growth.ts'
import { byteText, compact, linePlot, type Plot } from './plot.ts'
import { fixed } from './text-table.ts'

interface Look {
  /** What a command is here; behind `CPU per` and `memory,`. */
  readonly what: string
  readonly x: string
  readonly xText: (value: number) => string
  /** Which lines stand in a table and a plot together, by how their name begins; else all. */
  readonly parts?: readonly string[]
  /** Memory grows with it, and has a table and a plot of its own. */
  readonly hasMemory?: true
}

export const looks: Readonly<Record<DimensionKey, Look>> = {
  clients: { what: 'GET of 128 B, no pipeline', x: 'clients, all busy', xText: compact, hasMemory: true },
  depth: { what: 'GET of 128 B, 50 clients', x: 'commands in a pipeline', xText: compact },
  size: { what: ', no pipeline', x: 'value', xText: byteText, parts: ['GET ', 'SET '], hasMemory: true },
  tenants: {
    what: 'GET of 128 B, pipelines of 16',
    x: 'tenants, up to 100 of them in use',
    xText: compact,
    hasMemory: true,
  },
  nodes: {
    what: 'GET of 128 B, pipelines of 16',
    x: 'nodes: a primary, replicas in regions of three',
    xText: compact,
  },
  rules: { what: 'GET of 128 B, pipelines of 16', x: 'routing rules that match no key', xText: compact },
}

interface Figure {
  readonly key: string
  readonly y: string
  readonly of: (point: GrowthPoint) => number | undefined
  readonly digits: number
  /** Only of proxies: redis holds the values. */
  readonly lines: (name: string) => boolean
}

const cpu: Figure = { key: '', y: 'CPU per command, us', of: (p) => p.cpuUs?.median, digits: 2, lines: () => true }
const memory: Figure = {
  key: '-memory',
  y: 'resident, MiB',
  of: (p) => (p.rssBytes === undefined ? undefined : p.rssBytes / 2 ** 20),
  digits: 0,
  lines: (name) => !name.endsWith('direct'),
}

interface Part {
  readonly key: string
  readonly title: string
  readonly figure: Figure
  readonly look: Look
  readonly dimension: Dimension
}

const titleOf = (figure: Figure, what: string): string =>
  figure === cpu ? `CPU per ${what}` : `Memory, ${what.replace(/ of 128 B/, '')}`

function partsOf(dimension: Dimension): Part[] {
  const look = looks[dimension.key as DimensionKey]
  return [cpu, ...(look.hasMemory === true ? [memory] : [])].flatMap((figure) =>
    (look.parts ?? ['']).map((part) => ({
      key: `${dimension.key}${part === '' ? '' : `-${part.trim().toLowerCase()}`}${figure.key}`,
      title: titleOf(figure, `${part.trim()}${look.what}`),
      figure,
      look,
      dimension: {
        ...dimension,
        lines: dimension.lines
          .filter(({ name }) => name.startsWith(part) && figure.lines(name))
          .map((line) => ({ ...line, name: line.name.slice(part.length) })),
      },
    })),
  )
}

/** `direct` is what the servers call themselves in a plot. */
const shown = (name: string): string => (name === 'direct' ? 'redis' : name)

export interface GrowthTable {
  readonly key: string
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** A row for each setting, a column for each line; the last row is what the largest costs beside the smallest. */
export function growthTable(dimension: Dimension): GrowthTable[] {
  return partsOf(dimension).map(({ key, title, figure, look, dimension: { lines } }) => {
    const xs = [...new Set(lines.flatMap(({ points }) => points.map((point) => point.x)))].sort((a, b) => a - b)
    const at = (name: string, x: number) =>
      lines.find((line) => line.name === name)?.points.find((point) => point.x === x)
    const value = (name: string, x: number) => {
      const point = at(name, x)
      return point && figure.of(point)
    }
    const cell = (name: string, x: number) => {
      const spread = figure === cpu ? at(name, x)?.cpuUs : undefined
      return `${fixed(value(name, x), figure.digits)}${spread === undefined ? '' : ` ±${Math.round(spread.iqr * 100)}%`}`
    }
    const [first, last] = [xs[0] ?? 0, xs.at(-1) ?? 0]
    const ratio = (name: string) => fixed((value(name, last) ?? Number.NaN) / (value(name, first) ?? Number.NaN), 2)
    return {
      key,
      title,
      head: [look.x, ...lines.map(({ name }) => `${shown(name)}, ${figure.y.split(', ').at(-1)}`)],
      rows: [
        ...xs.map((x) => [look.xText(x), ...lines.map(({ name }) => cell(name, x))]),
        [`${look.xText(last)} / ${look.xText(first)}`, ...lines.map(({ name }) => ratio(name))],
      ],
    }
  })
}

/** By name of the file, without its ending. */
export function growthPlots(dimension: Dimension): { readonly key: string; readonly svg: string }[] {
  return partsOf(dimension).map(({ key, title, figure, look, dimension: { lines } }) => {
    const plot: Plot = {
      title,
      x: look.x,
      y: figure.y,
      xText: look.xText,
      series: lines.map(({ name, points }) => ({
        name: shown(name),
        points: points.flatMap((point) => {
          const y = figure.of(point)
          return y === undefined ? [] : [{ x: point.x, y }]
        }),
      })),
    }
    return { key, svg: linePlot(plot) }
  })
}
