/** Reads /metrics of a running proxy: one look, asked for by name and labels. */
import type { StartedProxy } from './servers.ts'

export interface MetricsPage {
  /** Sum over all series of this name whose labels hold these values; 0 when there are none. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number
}

export async function metric(proxy: StartedProxy): Promise<MetricsPage> {
  const { status, body } = await proxy.proxy.fetch('/metrics')
  if (status !== 200) throw new Error(`/metrics answered ${status}`)
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return {
    sum(name, labels = {}) {
      let sum = 0
      for (const line of lines) {
        const [, found, text = '', value] = /^([a-zA-Z0-9_:]+)(?:\{(.*)\})? ([^ ]+)/.exec(line) ?? []
        if (found !== name) continue
        const isMeant = Object.entries(labels).every(([label, wanted]) => text.includes(`${label}="${wanted}"`))
        if (isMeant) sum += Number(value)
      }
      return sum
    },
  }
}
