/**
 * A line plot with logarithmic axes as SVG text: readable on light and dark pages (the page's choice, where the viewer knows
 * it), by people who see few colours (marks differ too), and without a library. Pure.
 */
import { place, settingAxis, valueAxis } from './axis.ts'

export interface Series {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

export interface Plot {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: readonly Series[]
  readonly xText?: (value: number) => string
  readonly yText?: (value: number) => string
}

const [width, height] = [720, 400]
const area = { left: 72, right: 560, top: 48, bottom: 340 } as const

/** Okabe and Ito, whose colours are told apart by nearly everybody, on white and on black. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'] as const
const darkColours = ['#56b4e9', '#e69f00', '#2fd6a3', '#e6a3c8'] as const

const style = [
  'text{font:13px system-ui,sans-serif;fill:#24292f}',
  '.back{fill:#fff}.grid{stroke:#d8dee4;stroke-width:1}.frame{stroke:#57606a;stroke-width:1;fill:none}',
  '.title{font-size:15px;font-weight:600}.small{font-size:12px}',
  ...colours.map((colour, i) => `.l${i}{stroke:${colour};stroke-width:2;fill:none}.m${i}{fill:${colour}}`),
  '@media(prefers-color-scheme:dark){text{fill:#e6edf3}.back{fill:#0d1117}.grid{stroke:#30363d}.frame{stroke:#8b949e}',
  ...darkColours.map((colour, i) => `.l${i}{stroke:${colour}}.m${i}{fill:${colour}}`),
  '}',
].join('')

export const compact = (value: number): string => {
  const [scale, sign] = value >= 1e6 ? [1e6, 'M'] : value >= 1e4 ? [1e3, 'k'] : [1, '']
  return `${Number((value / scale).toPrecision(3))}${sign}`
}

export const byteText = (value: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10))
  return `${Number((value / 1024 ** power).toPrecision(3))} ${units[power]}`
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
const n = (value: number): string => String(Math.round(value * 10) / 10)

/** Circle, square, triangle, diamond. */
function mark(kind: number, x: number, y: number): string {
  const path = [
    '',
    `M${n(x - 4)} ${n(y - 4)}h8v8h-8z`,
    `M${n(x)} ${n(y - 5)}l5 9h-10z`,
    `M${n(x)} ${n(y - 5.5)}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`,
  ][kind]
  return path === ''
    ? `<circle class="m${kind}" cx="${n(x)}" cy="${n(y)}" r="4"/>`
    : `<path class="m${kind}" d="${path}"/>`
}

/** Names stand at the ends of their lines, moved apart where they would lie on each other. */
export function apart(wanted: readonly number[], gap: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]!)
  const placed = [...wanted]
  for (let i = 1; i < order.length; i++) {
    const [above, below] = [order[i - 1]!, order[i]!]
    placed[below] = Math.max(placed[below]!, placed[above]! + gap)
  }
  return placed
}

export function linePlot(plot: Plot): string {
  const { series } = plot
  if (series.length > colours.length) throw new Error(`${plot.title}: more than ${colours.length} lines`)
  const all = series.flatMap((one) => one.points)
  const xAxis = settingAxis(all.map((point) => point.x))
  const yAxis = valueAxis(all.map((point) => point.y))
  const { xText = compact, yText = compact } = plot
  const px = (value: number) => area.left + place(xAxis, value) * (area.right - area.left)
  const py = (value: number) => area.bottom - place(yAxis, value) * (area.bottom - area.top)
  const text = (x: number, y: number, content: string, more = '') =>
    `<text x="${n(x)}" y="${n(y)}"${more}>${escaped(content)}</text>`
  const middle = ' text-anchor="middle"'
  const grid = [
    ...yAxis.ticks.map((tick) => `<path class="grid" d="M${area.left} ${n(py(tick))}H${area.right}"/>`),
    ...xAxis.ticks.map((tick) => `<path class="grid" d="M${n(px(tick))} ${area.top}V${area.bottom}"/>`),
  ]
  const labels = [
    text(area.left, 26, plot.title, ' class="title"'),
    text((area.left + area.right) / 2, area.bottom + 44, plot.x, middle),
    text(
      20,
      (area.top + area.bottom) / 2,
      plot.y,
      `${middle} transform="rotate(-90 20 ${(area.top + area.bottom) / 2})"`,
    ),
    ...yAxis.ticks.map((tick) => text(area.left - 8, py(tick) + 4, yText(tick), ' class="small" text-anchor="end"')),
    ...xAxis.ticks.map((tick) => text(px(tick), area.bottom + 20, xText(tick), ` class="small"${middle}`)),
  ]
  const names = apart(
    series.map((one) => py(one.points.at(-1)?.y ?? yAxis.low) + 4),
    18,
  )
  const lines = series.flatMap((one, i) => [
    `<path class="l${i}" d="${one.points.map(({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${n(px(x))} ${n(py(y))}`).join('')}"/>`,
    ...one.points.map(({ x, y }) => mark(i, px(x), py(y))),
    mark(i, area.right + 14, names[i]! - 4),
    text(area.right + 24, names[i]!, one.name),
  ])
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(`${plot.title}: ${plot.y} by ${plot.x}`)}">`,
    `<style>${style}</style>`,
    `<rect class="back" width="${width}" height="${height}" rx="6"/>`,
    ...grid,
    `<path class="frame" d="M${area.left} ${area.top}V${area.bottom}H${area.right}"/>`,
    ...labels,
    ...lines,
    '</svg>',
    '',
  ].join('\n')
}
