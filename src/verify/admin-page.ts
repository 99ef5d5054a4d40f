/** GET /metrics of a running proxy. ~ one HTTP request. */
import { get } from 'node:http'
import type { Target } from './peer.ts'

const pageBytesMax = 64 * 1024 * 1024

/** Undefined when it cannot be had: the share of local reads is then not told. Never rejects. */
export function metricsPage(target: Target, timeoutMs = 2_000): Promise<string | undefined> {
  const { admin } = target
  if (admin === undefined) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const headers = admin.token === undefined ? {} : { authorization: `Bearer ${admin.token}` }
    const request = get({ host: admin.host, port: admin.port, path: '/metrics', agent: false, headers }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
        if (body.length > pageBytesMax) request.destroy()
      })
      response.on('end', () => resolve(response.statusCode === 200 ? body : undefined))
      response.on('error', () => resolve(undefined))
    })
    request.setTimeout(timeoutMs, () => request.destroy())
    request.on('error', () => resolve(undefined))
    request.on('close', () => resolve(undefined))
  })
}
