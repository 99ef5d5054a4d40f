/** docs/metrics.md, rendered from the catalogue; a test compares the two. Pure. */
import { catalogue, type MetricName, metricPrefix, metricRows } from './catalogue.ts'
import { durationBoundsMs } from './counters.ts'

/** Where each group of the page begins: the first row of the group. */
const groups: Partial<Record<MetricName, string>> = {
  build_info: 'This process and its configuration',
  client_connections: 'Clients',
  commands_total: 'Commands',
  reads_total: 'Where reads go',
  upstream_up: 'Nodes and replication',
  fleet_proxies: 'Limits that proxies share',
  desync_total: 'Tripwires',
}

const intro: Partial<Record<MetricName, string>> = {
  desync_total: 'These stay 0. Anything else is a bug of Regis or of a server: alert on it, and keep the logs.',
}

export function renderMetricsPage(): string {
  const bounds = durationBoundsMs.map((ms) => `${ms / 1000}`).join(', ')
  const lines = [
    '# Metrics',
    '',
    'Generated from `src/metrics/catalogue.ts` by `npm run docs`; do not edit.',
    '',
    '`GET /metrics` on the admin address serves these in the Prometheus text format, together with the `process_*` and',
    '`nodejs_*` metrics of prom-client, but for those that go over every socket. Units are base units. No key, client address, user name or free text is a label.',
    '',
    '- `metrics.tenant_label` (`all`, `none`, `top:N`) decides which tenants have a label of their own. The rest is counted',
    '  under `tenant="other"`, which holds what each tenant counted while it was folded, so it never falls.',
    '- Series whose value has never been anything but 0 may be absent; counters of reads and writes are present from the start.',
    `- Histograms have the bounds (seconds) ${bounds}.`,
    '- With `--workers` there is one page, of all workers; the column `workers` says how it is made of theirs: `sum`; the largest (`max`) or',
    '  smallest (`min`) or the middle (`mean`) of one thing that all of them see; `worker`: one series each, with that label; `usage`: for',
    '  ops and bandwidth weighted by `regis_quota_share_ratio`, for memory and keys the largest, else the sum. What every worker does or sees',
    '  for itself (a reload, a change of the primary) is counted by each. The counters of a worker that has died stay in the sums as they',
    '  were last shown; what it counted after that page is lost. `process_*` and `nodejs_*` are summed (`nodejs_eventloop_lag_*`: the',
    '  largest), the supervisor among them.',
    '- A command counts as `ok` when it is taken and moves to its real outcome when that is known.',
    '',
  ]
  for (const [name, row] of metricRows) {
    const title = groups[name]
    if (title !== undefined) {
      lines.push(`## ${title}`, '')
      const words = intro[name]
      if (words !== undefined) lines.push(words, '')
      lines.push('| name | type | workers | labels | unit | meaning | since |', '|---|---|---|---|---|---|---|')
    }
    const labels = row.labels.length === 0 ? '-' : row.labels.map((label) => `\`${label}\``).join(', ')
    const meaning = row.note === undefined ? row.help : `${row.help} ${row.note}`
    const workers = row.type === 'gauge' ? row.workers : 'sum'
    const facts = [row.type, workers, labels, row.unit, meaning, row.since]
    lines.push(`| \`${metricPrefix}${name}\` | ${facts.join(' | ')} |`)
    const next = nextName(name)
    if (next === undefined || groups[next] !== undefined) lines.push('')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

function nextName(name: MetricName): MetricName | undefined {
  const names = Object.keys(catalogue) as MetricName[]
  return names[names.indexOf(name) + 1]
}
