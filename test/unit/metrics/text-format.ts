/**
 * A strict reader of the Prometheus text format 0.0.4 and the rules of `promtool check metrics` (client_golang
 * testutil/promlint), for tests. Throws at the first line that is not in the format; `lint` lists what promtool would.
 */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: { name: string; labels: Record<string, string>; value: number }[]
}

export function parseText(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no newline')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let help: { name: string; help: string } | undefined
  let family: Family | undefined
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (comment !== null) {
      const [, what, name, rest] = comment as unknown as [string, string, string, string]
      if (what === 'HELP') {
        help = { name, help: rest }
        continue
      }
      if (help?.name !== name) throw new Error(`TYPE without HELP: ${name}`)
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`type ${rest}`)
      if (families.has(name)) throw new Error(`${name} twice`)
      family = { name, help: help.help, type: rest, samples: [] }
      families.set(name, family)
      continue
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (sample === null) throw new Error(`not a sample: ${line}`)
    const [, name, inside, number] = sample as unknown as [string, string, string | undefined, string]
    if (family === undefined) throw new Error(`sample before TYPE: ${line}`)
    const suffixes =
      family.type === 'histogram'
        ? ['_bucket', '_sum', '_count']
        : family.type === 'summary'
          ? ['', '_sum', '_count']
          : ['']
    if (!suffixes.some((suffix) => name === family?.name + suffix)) throw new Error(`${name} under ${family.name}`)
    const value = number === '+Inf' || number === 'Inf' ? Number.POSITIVE_INFINITY : Number(number)
    if (Number.isNaN(value) && number !== 'NaN' && number !== 'Nan') throw new Error(`value ${number}`)
    const labels = parseLabels(inside ?? '')
    const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
    if (seen.has(key)) throw new Error(`series twice: ${line}`)
    seen.add(key)
    family.samples.push({ name, labels, value })
  }
  return families
}

function parseLabels(inside: string): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = inside
  while (rest !== '') {
    const one = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest)
    if (one === null) throw new Error(`labels: ${inside}`)
    const [all, name, value] = one as unknown as [string, string, string]
    if (name in labels) throw new Error(`label twice: ${inside}`)
    labels[name] = value
    rest = rest.slice(all.length)
  }
  return labels
}

const wrongUnits =
  /(^|_)(ms|milliseconds?|microseconds?|nanoseconds?|minutes?|hours?|days?|kb|mb|gb|kilobytes?|megabytes?|bits|percent|second|byte)(_|$)/
const typeWords = /(^|_)(counter|gauge|histogram|summary|untyped)(_|$)/

export function lint(families: Map<string, Family>): string[] {
  const problems: string[] = []
  for (const { name, help, type, samples } of families.values()) {
    if (help.trim() === '') problems.push(`${name}: no help text`)
    if (type === 'untyped') problems.push(`${name}: no type`)
    if (type === 'counter' && !name.endsWith('_total')) problems.push(`${name}: counter without _total`)
    if (type !== 'counter' && name.endsWith('_total')) problems.push(`${name}: _total on a ${type}`)
    if (type !== 'histogram' && /_(bucket)$/.test(name)) problems.push(`${name}: reserved suffix`)
    if (type === 'gauge' && /_(sum|count)$/.test(name)) problems.push(`${name}: reserved suffix`)
    if (/[A-Z]/.test(name)) problems.push(`${name}: camel case`)
    if (name.includes(':')) problems.push(`${name}: colon`)
    if (wrongUnits.test(name)) problems.push(`${name}: not a base unit`)
    if (typeWords.test(name)) problems.push(`${name}: type in the name`)
    if (type === 'histogram') problems.push(...lintHistogram(name, samples))
    for (const { labels } of samples) {
      for (const label of Object.keys(labels))
        if (/[A-Z]/.test(label)) problems.push(`${name}: label ${label} in camel case`)
      if (type !== 'histogram' && 'le' in labels) problems.push(`${name}: le on a ${type}`)
    }
  }
  return problems
}

function lintHistogram(name: string, samples: Family['samples']): string[] {
  const problems: string[] = []
  const series = new Map<string, { last: number; below: number; count?: number }>()
  for (const sample of samples) {
    const { le, ...labels } = sample.labels
    const key = JSON.stringify(labels)
    const one = series.get(key) ?? { last: Number.NEGATIVE_INFINITY, below: 0 }
    series.set(key, one)
    if (sample.name === `${name}_bucket`) {
      const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)
      if (!(bound > one.last)) problems.push(`${name}: bounds do not rise`)
      if (sample.value < one.below) problems.push(`${name}: buckets fall`)
      one.last = bound
      one.below = sample.value
    } else if (sample.name === `${name}_count`) one.count = sample.value
  }
  for (const { last, below, count } of series.values()) {
    if (last !== Number.POSITIVE_INFINITY) problems.push(`${name}: no +Inf bucket`)
    if (below !== count) problems.push(`${name}: count is not the last bucket`)
  }
  return problems
}
