/**
 * One family of the page in the Prometheus text format, line by line, so that whoever writes the page may rest in between. The
 * same text as prom-client's (lib/registry.js, getMetricsAsString); a test compares the two. Pure.
 */
import type { MetricRow } from './catalogue.ts'

export type Labels = Readonly<Record<string, string>>
export interface Value {
  readonly labels: Labels
  readonly value: number
  readonly metricName?: string
}

/** Without a newline at the end of each. */
export function* familyLines(name: string, { help, type }: Pick<MetricRow, 'help' | 'type'>, values: Iterable<Value>) {
  yield `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`
  yield `# TYPE ${name} ${type}`
  for (const { metricName, labels, value } of values)
    yield `${metricName ?? name}${labelsText(labels)} ${numeral(value)}`
}

function labelsText(labels: Labels): string {
  let text = ''
  for (const key in labels) text += `${text === '' ? '{' : ','}${key}="${escaped(labels[key]!)}"`
  return text === '' ? '' : `${text}}`
}

const special = /[\\\n"]/

function escaped(label: string): string {
  if (!special.test(label)) return label
  return label.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')
}

function numeral(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return Number.isNaN(value) ? 'Nan' : String(value)
}
