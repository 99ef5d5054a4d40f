/**
 * The admin server: metrics, health, what the proxy knows, and what it can be told to do. ~ listens on a socket.
 * It decides nothing about the proxy: every answer comes from a function it is handed. Who may ask is access.ts.
 *
 *   GET   /metrics   /livez   /readyz?verbose   /api/v1/{status,regions,tenants,clients,rules,config,stats,slowlog,explain}   /
 *   POST  /-/reload  /-/drain  /-/pause  /-/resume
 *
 * A scrape or a slow reader must not cost the proxy anything: headers, bodies, times and connections are bounded.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Log, silentLog } from '../base/log.ts'
import { jsonPieces, Slices } from '../base/slices.ts'
import { type AccessOptions, hasToken, refusalOf } from './access.ts'

/** Thrown by what is asked: nobody can answer now. */
export class Unavailable extends Error {}

export interface HealthCheck {
  readonly name: string
  readonly ok: boolean
  /** For operators: shown with the token only, where one is set. */
  readonly detail: string
}

export interface Health {
  /** The process is fit to go on; false asks the orchestrator for a restart. */
  readonly live: boolean
  /** Clients should be sent here. */
  readonly ready: boolean
  readonly checks: readonly HealthCheck[]
}

export interface ReloadResult {
  readonly ok: boolean
  /** What differs from what runs, key by key. */
  readonly changes: readonly object[]
  /** With file, line and column; of a refused configuration. */
  readonly errors: readonly object[]
  readonly warnings: readonly object[]
}

export type Explained =
  | { readonly status: 200; readonly explained: object }
  | { readonly status: 400 | 404; readonly error: string }

export interface AdminOptions {
  readonly host: string
  /** 0: any free port; start() says which. */
  readonly port: number
  readonly token?: string | undefined
  readonly metrics: { readonly contentType: string; pieces(): Promise<readonly Buffer[]> }
  readonly health: () => Health | Promise<Health>
  readonly status: () => object | Promise<object>
  readonly regions: () => object | Promise<object>
  readonly tenants: () => object | Promise<object>
  readonly clients: () => object | Promise<object>
  readonly rules: () => object | Promise<object>
  /** Secrets are already taken out. */
  readonly config: () => object | Promise<object>
  readonly stats: () => object | Promise<object>
  /** Slow commands of all nodes, without their arguments. */
  readonly slowlog: () => Promise<object>
  /** What would become of a command of this user, and why. `command`: as redis-cli takes it. */
  readonly explain: (user: string, command: string, level: string | undefined) => Explained | Promise<Explained>
  /** `isDryRun`: says what would become of it, and changes nothing. */
  readonly reload?: (isDryRun: boolean) => Promise<ReloadResult>
  /** Begins to drain and returns at once. */
  readonly drain?: () => void
  /** Has a tenant's commands wait, or go on. `ms`: as it was written. */
  readonly pause?: (tenant: string, ms: string | undefined) => Promise<Told>
  readonly resume?: (tenant: string) => Told | Promise<Told>
  readonly log?: Log
  /** How long a reader may stand still, ms: 20 seconds. */
  readonly readerMs?: number
}

export interface Told {
  readonly status: 200 | 400 | 404 | 409
  readonly body: object
}

const headerBytesMax = 8 * 1024
const bodyBytesMax = 4 * 1024
const connectionsMax = 64
const headersMs = 5_000
const requestMs = 10_000
/** A reader that stops reading holds a page of text and one connection, until here. */
const readerMs = 20_000
/** A pause takes half a minute to fail, a reload of a hundred thousand tenants some of that on a slow machine: whoever asks waits for it. */
const answerMs = 120_000
const idleMs = 5_000
const stopMsMax = 500

const strictHeaders = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string | readonly Buffer[]
  readonly headers?: Readonly<Record<string, string>>
}

interface Route {
  readonly method: 'GET' | 'POST'
  /** Open to everybody who reaches the port: load balancers and orchestrators have no token. */
  readonly isOpen?: true
  answer(request: IncomingMessage, url: URL): Answer | Promise<Answer>
}

const json = (status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  type: 'application/json; charset=utf-8',
  body: `${JSON.stringify(value)}\n`,
  headers,
})
/** The same of what may be long: made and sent in slices. */
async function longJson(status: number, value: unknown): Promise<Answer> {
  const body = [...(await jsonPieces(value, new Slices())), Buffer.from('\n')]
  return { status, type: 'application/json; charset=utf-8', body }
}
const text = (status: number, body: string): Answer => ({ status, type: 'text/plain; charset=utf-8', body })
const failure = (status: number, error: string, headers?: Readonly<Record<string, string>>): Answer =>
  json(status, { error }, headers)

export class AdminServer {
  readonly #options: AdminOptions
  #access: AccessOptions
  readonly #log: Log
  readonly #routes: ReadonlyMap<string, Route>
  readonly #server: Server
  /** Scrapes that come while one is being answered share its page. */
  #rendering: Promise<readonly Buffer[]> | undefined

  constructor(options: AdminOptions) {
    this.#options = options
    this.#access = { token: options.token, host: options.host }
    this.#log = options.log ?? silentLog
    this.#routes = this.#routeTable()
    this.#server = createServer(
      {
        maxHeaderSize: headerBytesMax,
        headersTimeout: headersMs,
        requestTimeout: requestMs,
        keepAliveTimeout: idleMs,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => void this.#serve(request, response),
    )
    this.#server.maxConnections = connectionsMax
    this.#server.on('clientError', refuseBytes)
    this.#server.setTimeout(options.readerMs ?? readerMs)
  }

  /** Another token, or none, from the next request on. */
  setToken(token: string | undefined): void {
    this.#access = { ...this.#access, token }
  }

  /** Resolves with the port; rejects when it cannot listen. */
  start(): Promise<number> {
    const server = this.#server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#options.port, this.#options.host, () => {
        server.removeListener('error', reject)
        server.on('error', (error) => this.#log.error({ err: error }, 'admin server error'))
        const address = server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : this.#options.port)
      })
    })
  }

  /** Answers what was asked, then closes; at most half a second. */
  async stop(): Promise<void> {
    const server = this.#server
    if (!server.listening) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    const timer = setTimeout(() => server.closeAllConnections(), stopMsMax)
    await closed
    clearTimeout(timer)
  }

  #routeTable(): ReadonlyMap<string, Route> {
    const options = this.#options
    const view = (read: () => object | Promise<object>): Route => ({
      method: 'GET',
      answer: async () => longJson(200, await read()),
    })
    const livez: Route = { method: 'GET', isOpen: true, answer: (request, url) => this.#health('live', request, url) }
    const readyz: Route = { method: 'GET', isOpen: true, answer: (request, url) => this.#health('ready', request, url) }
    const routes = new Map<string, Route>([
      ['/metrics', { method: 'GET', answer: () => this.#metrics() }],
      ['/livez', livez],
      ['/healthz', livez],
      ['/readyz', readyz],
      ['/ready', readyz],
      ['/api/v1/status', view(options.status)],
      ['/api/v1/regions', view(options.regions)],
      ['/api/v1/tenants', view(options.tenants)],
      ['/api/v1/clients', view(options.clients)],
      ['/api/v1/rules', view(options.rules)],
      ['/api/v1/config', view(options.config)],
      ['/api/v1/stats', view(options.stats)],
      ['/api/v1/slowlog', { method: 'GET', answer: async () => json(200, await options.slowlog()) }],
    ])
    routes.set('/api/v1/explain', { method: 'GET', answer: (_request, url) => this.#explain(url) })
    const { drain, reload, pause, resume } = options
    const tenantOf = (url: URL): string => url.searchParams.get('tenant') ?? ''
    if (pause !== undefined) {
      routes.set('/-/pause', {
        method: 'POST',
        answer: async (_request, url) => {
          const { status, body } = await pause(tenantOf(url), url.searchParams.get('ms') ?? undefined)
          return json(status, body)
        },
      })
    }
    if (resume !== undefined) {
      routes.set('/-/resume', {
        method: 'POST',
        answer: async (_request, url) => {
          const { status, body } = await resume(tenantOf(url))
          return json(status, body)
        },
      })
    }
    if (reload !== undefined)
      routes.set('/-/reload', { method: 'POST', answer: (_request, url) => answerReload(reload, url) })
    if (drain !== undefined) {
      routes.set('/-/drain', {
        method: 'POST',
        answer: () => {
          this.#log.info('drain was asked for by the admin server')
          drain()
          return json(202, { draining: true })
        },
      })
    }
    const endpoints = [...routes].map(([path, route]) => `${route.method} ${path}`)
    return routes.set('/', { method: 'GET', answer: () => json(200, { endpoints }) })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request
    let answer: Answer
    socket.setTimeout(answerMs)
    try {
      answer = await this.#answer(request)
    } catch (error) {
      if (!(error instanceof Unavailable))
        this.#log.error({ err: error, path: request.url?.split('?')[0] }, 'admin request failed')
      answer = error instanceof Unavailable ? failure(503, error.message) : failure(500, 'internal error')
    }
    if (response.destroyed) return
    socket.setTimeout(this.#options.readerMs ?? readerMs)
    const body = typeof answer.body === 'string' ? [Buffer.from(answer.body)] : answer.body
    // A body that was not read to its end makes this connection useless for a next request.
    const isSpent = request.complete || (request.headers['content-length'] ?? '0') === '0'
    response.writeHead(answer.status, {
      ...strictHeaders,
      'Content-Type': answer.type,
      'Content-Length': body.reduce((bytes, piece) => bytes + piece.length, 0),
      ...(isSpent ? {} : { Connection: 'close' }),
      ...answer.headers,
    })
    if (request.method === 'HEAD') response.end()
    else await send(response, body)
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const method = request.method ?? ''
    const url = parseTarget(request.url)
    if (url === undefined) return failure(400, 'bad request target')
    const route = this.#routes.get(url.pathname)
    if (route?.isOpen !== true) {
      // Before 404 and 405: who may not ask learns nothing about what is there.
      const remoteAddress = request.socket.remoteAddress ?? ''
      const refusal = refusalOf({ method, headers: request.headers, remoteAddress }, this.#access)
      if (refusal !== undefined) {
        return failure(refusal.status, refusal.message, refusal.status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {})
      }
    }
    if (route === undefined) return failure(404, 'no such endpoint')
    const isFitting = method === route.method || (method === 'HEAD' && route.method === 'GET')
    if (!isFitting) {
      const allow = route.method === 'GET' ? 'GET, HEAD' : 'POST'
      return failure(405, `${allow} only`, { Allow: allow })
    }
    if (!(await readBody(request)))
      return failure(413, `a body may have ${bodyBytesMax} bytes`, { Connection: 'close' })
    return route.answer(request, url)
  }

  async #metrics(): Promise<Answer> {
    const { metrics } = this.#options
    this.#rendering ??= metrics.pieces().finally(() => {
      this.#rendering = undefined
    })
    return { status: 200, type: metrics.contentType, body: await this.#rendering }
  }

  /** As Kubernetes writes it: `ok`, or with `?verbose` a line per check. */
  async #health(which: 'live' | 'ready', request: IncomingMessage, url: URL): Promise<Answer> {
    const health = await this.#options.health()
    const status = health[which] ? 200 : 503
    const verdict = `${which === 'live' ? 'livez' : 'readyz'} check ${health[which] ? 'passed' : 'failed'}`
    if (!url.searchParams.has('verbose')) return text(status, health[which] ? 'ok\n' : `${verdict}\n`)
    const { token } = this.#access
    const seesDetail =
      token === undefined || hasToken({ method: 'GET', headers: request.headers, remoteAddress: '' }, token)
    const lines = health.checks.map(({ name, ok, detail }) => {
      return `[${ok ? '+' : '-'}] ${name} ${ok ? 'ok' : 'failed'}${seesDetail && detail !== '' ? `: ${detail}` : ''}`
    })
    return text(status, `${[...lines, verdict].join('\n')}\n`)
  }

  async #explain(url: URL): Promise<Answer> {
    const [user, command] = [url.searchParams.get('user'), url.searchParams.get('command')]
    if (user === null || command === null) return failure(400, 'user and command are needed')
    const found = await this.#options.explain(user, command, url.searchParams.get('level') ?? undefined)
    return found.status === 200 ? json(200, found.explained) : failure(found.status, found.error)
  }
}

/** Not faster than it is read, and a piece a slice: the kernel takes megabytes at once, and copies them. */
async function send(response: ServerResponse, body: readonly Buffer[]): Promise<void> {
  const slices = new Slices()
  for (const piece of body) {
    if (response.destroyed) return
    if (!response.write(piece)) await new Promise<void>((resolve) => whenWritable(response, resolve))
    else if (slices.isOver) await slices.rest()
  }
  response.end()
}

function whenWritable(response: ServerResponse, then: () => void): void {
  const done = (): void => {
    response.off('drain', done)
    response.off('close', done)
    then()
  }
  response.on('drain', done)
  response.on('close', done)
}

async function answerReload(reload: NonNullable<AdminOptions['reload']>, url: URL): Promise<Answer> {
  const isDryRun = url.searchParams.has('dry_run')
  const { ok, changes, errors, warnings } = await reload(isDryRun)
  if (!ok) return json(422, { error: 'configuration refused', errors, warnings, changes })
  return json(200, { reloaded: !isDryRun, changes, warnings })
}

/** Only the form `/path?query`: no absolute URLs, no `*`, nothing that two parsers could read in two ways. */
function parseTarget(target: string | undefined): URL | undefined {
  if (target === undefined || !/^\/[\w\-./?=&%:]*$/.test(target) || target.startsWith('//')) return undefined
  try {
    return new URL(target, 'http://admin')
  } catch {
    return undefined
  }
}

/** Reads and forgets the body; false when it is longer than the bound. No endpoint takes one yet. */
function readBody(request: IncomingMessage): Promise<boolean> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return Promise.resolve(false)
  // Not `for await`: leaving its loop destroys the socket, and the refusal with it.
  return new Promise((resolve, reject) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= bodyBytesMax) return
      request.pause()
      resolve(false)
    })
    request.on('end', () => resolve(true))
    request.on('error', reject)
    request.on('close', () => resolve(true))
  })
}

/** Bytes that are no HTTP, too large headers, a request that took too long. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  const body = `${JSON.stringify({ error: status.slice(4).toLowerCase() })}\n`
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  )
}
