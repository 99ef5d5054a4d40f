/** Prometheus, as far as the proxy sees it: its page is asked for once a second while it is measured. ~ HTTP and a timer. */
import { get } from 'node:http'

const everyMs = 1000
/** So that a round that is shorter than a second has its scrape too. */
const firstAfterMs = 100

export interface Scraper {
  /** Rejects when a scrape failed. */
  stop(): Promise<void>
}

export function startScraper(adminPort: number): Scraper {
  let failure: Error | undefined
  let current: Promise<void> | undefined
  let timer = setTimeout(tick, firstAfterMs)
  function tick(): void {
    timer = setTimeout(tick, everyMs)
    // One that takes longer than a second is waited for, as Prometheus does.
    if (current !== undefined) return
    current = scrape(adminPort)
      .catch((error: Error) => {
        failure ??= error
      })
      .finally(() => {
        current = undefined
      })
  }
  return {
    stop: async () => {
      clearTimeout(timer)
      await current
      if (failure !== undefined) throw new Error(`a scrape of /metrics failed: ${failure.message}`)
    },
  }
}

function scrape(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get({ port, host: '127.0.0.1', path: '/metrics', timeout: 10_000 }, (response) => {
      response.resume()
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
      )
    })
    request.on('timeout', () => request.destroy(new Error('no answer in 10 s')))
    request.on('error', reject)
  })
}
