import { connect } from 'node:net'
import { type AdminOptions, AdminServer, type Health, type ReloadResult } from '../../src/admin/http.ts'

const healthy: Health = { live: true, ready: true, checks: [{ name: 'nodes', ok: true, detail: '3 readable' }] }

interface Fake {
  health: Health
  reload: (isDryRun: boolean) => Promise<ReloadResult>
  drained: number
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

async function serve(change: Partial<AdminOptions> = {}) {
  const fake: Fake = {
    health: healthy,
    reload: async () => ({ ok: true, changes: [], errors: [], warnings: [] }),
    drained: 0,
  }
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    metrics: {
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      pieces: async () => [Buffer.from('# HELP a b\n# TYPE a gauge\n'), Buffer.from('a 1\n')],
    },
    health: () => fake.health,
    status: () => ({ region: 'eu-west' }),
    regions: () => [{ region: 'eu-west' }],
    tenants: () => [],
    clients: () => [],
    rules: () => [],
    config: () => ({ token: '***' }),
    stats: () => ({ marks_sent: 1 }),
    slowlog: () => Promise.resolve([]),
    explain: (user, command) =>
      user === 'shop-app' ? { status: 200, explained: { command } } : { status: 404, error: 'no such user' },
    reload: (isDryRun) => fake.reload(isDryRun),
    drain: () => {
      fake.drained++
    },
    ...change,
  })
  const port = await server.start()
  stops.push(() => server.stop())
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  return { server, port, ask, fake }
}

/** Raw bytes in, everything until the close out. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(bytes))
    socket.on('data', (data) => {
      answer += data.toString('latin1')
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

describe('the admin server', () => {
  test('serves metrics, health and each view', async () => {
    const { ask } = await serve()
    const metrics = await ask('/metrics')
    expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(metrics.text).toBe('# HELP a b\n# TYPE a gauge\na 1\n')
    for (const path of ['/livez', '/healthz', '/readyz', '/ready']) {
      expect(await ask(path)).toMatchObject({ status: 200, text: 'ok\n' })
    }
    for (const path of ['status', 'regions', 'tenants', 'clients', 'rules', 'config']) {
      const answer = await ask(`/api/v1/${path}`)
      expect([path, answer.status, answer.headers.get('content-type')]).toEqual([
        path,
        200,
        'application/json; charset=utf-8',
      ])
      JSON.parse(answer.text)
    }
    expect(JSON.parse((await ask('/')).text).endpoints).toContain('POST /-/reload')
  })

  test('not ready is 503 while live stays 200, and verbose says which check failed', async () => {
    const { ask, fake } = await serve()
    fake.health = { live: true, ready: false, checks: [{ name: 'nodes', ok: false, detail: 'none readable' }] }
    expect((await ask('/readyz')).status).toBe(503)
    expect((await ask('/livez')).status).toBe(200)
    expect((await ask('/readyz?verbose')).text).toBe('[-] nodes failed: none readable\nreadyz check failed\n')
  })

  test('whoever asks for what takes long waits for its answer, longer than a reader may stand still', async () => {
    const { ask } = await serve({
      readerMs: 50,
      pause: async () => {
        await new Promise((resolve) => setTimeout(resolve, 400))
        return { status: 409, body: { error: 'not at rest' } }
      },
    })
    expect(await ask('/-/pause?tenant=shop', { method: 'POST' })).toMatchObject({ status: 409 })
  })

  test('with a token only health is open, and shows no detail', async () => {
    const { ask } = await serve({ token: 's3cret' })
    for (const path of ['/metrics', '/api/v1/status', '/', '/nothing']) {
      const answer = await ask(path)
      expect([path, answer.status, answer.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer'])
    }
    expect((await ask('/readyz?verbose')).text).toBe('[+] nodes ok\nreadyz check passed\n')
    const headers = { authorization: 'Bearer s3cret' }
    expect((await ask('/metrics', { headers })).status).toBe(200)
    expect((await ask('/readyz?verbose', { headers })).text).toContain('3 readable')
    expect((await ask('/-/reload', { method: 'POST' })).status).toBe(401)
    expect((await ask('/-/reload', { method: 'POST', headers })).status).toBe(200)
  })

  test('HEAD has the headers of GET and no body; unknown is 404; a wrong method is 405 with Allow', async () => {
    const { ask, fake } = await serve()
    const head = await ask('/api/v1/status', { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    expect(Number(head.headers.get('content-length'))).toBe((await ask('/api/v1/status')).text.length)
    expect(await ask('/nothing')).toMatchObject({ status: 404, text: '{"error":"no such endpoint"}\n' })
    const wrong = await ask('/-/drain')
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await ask('/metrics', { method: 'DELETE' })).headers.get('allow')).toBe('GET, HEAD')
    expect(fake.drained).toBe(0)
  })

  test('reload says what has changed, or what is wrong with a refused configuration; a dry run says so', async () => {
    const { ask, fake } = await serve()
    const errors = [{ file: 'proxy.yaml', line: 3, message: 'unknown key' }]
    fake.reload = async () => ({ ok: false, changes: [], errors, warnings: [] })
    const refused = await ask('/-/reload', { method: 'POST' })
    expect(refused.status).toBe(422)
    expect(JSON.parse(refused.text)).toMatchObject({ error: 'configuration refused', errors })
    const changes = [{ path: 'limits.output' }]
    const dryRuns: boolean[] = []
    fake.reload = async (isDryRun) => {
      dryRuns.push(isDryRun)
      return { ok: true, changes, errors: [], warnings: [] }
    }
    const taken = await ask('/-/reload', { method: 'POST' })
    expect([taken.status, JSON.parse(taken.text)]).toEqual([200, { reloaded: true, changes, warnings: [] }])
    const dry = await ask('/-/reload?dry_run=1', { method: 'POST' })
    expect(JSON.parse(dry.text)).toEqual({ reloaded: false, changes, warnings: [] })
    expect(dryRuns).toEqual([false, true])
    expect((await ask('/-/reload')).status).toBe(405)
  })

  test('drain answers 202 and is called once', async () => {
    const { ask, fake } = await serve()
    expect((await ask('/-/drain', { method: 'POST' })).status).toBe(202)
    expect(fake.drained).toBe(1)
  })

  test('a page of another site cannot drain, nor read after a DNS rebinding', async () => {
    const { port, fake } = await serve()
    const post = (headers: string) => raw(port, `POST /-/drain HTTP/1.1\r\nConnection: close\r\n${headers}\r\n`)
    expect(await post(`Host: 127.0.0.1:${port}\r\nOrigin: http://evil.example\r\n`)).toMatch(/^HTTP\/1.1 403 /)
    expect(await post(`Host: 127.0.0.1:${port}\r\nSec-Fetch-Site: cross-site\r\n`)).toMatch(/^HTTP\/1.1 403 /)
    expect(await post('Host: evil.example\r\n')).toMatch(/^HTTP\/1.1 403 /)
    expect(fake.drained).toBe(0)
    const get = await raw(port, 'GET /api/v1/config HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n')
    expect(get).toMatch(/^HTTP\/1.1 403 /)
    expect(get).not.toContain('***')
  })

  test('answers carry strict headers', async () => {
    const { ask } = await serve()
    for (const path of ['/metrics', '/nothing', '/livez']) {
      const { headers } = await ask(path)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('x-frame-options')).toBe('DENY')
    }
  })

  test('scrapes that come while one is under way share its page, a later one gets its own', async () => {
    let renders = 0
    let release = () => {}
    const pieces = () => {
      renders++
      return new Promise<Buffer[]>((resolve) => {
        release = () => resolve([Buffer.from('page\n')])
      })
    }
    const { ask } = await serve({ metrics: { contentType: 'text/plain', pieces } })
    const pages = Promise.all(Array.from({ length: 5 }, () => ask('/metrics')))
    while (renders === 0) await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 10; i++) await ask('/livez') // round trips: the other four have arrived by now
    release()
    for (const page of await pages) expect(page.text).toBe('page\n')
    expect(renders).toBe(1)
    const later = ask('/metrics')
    while (renders === 1) await new Promise((resolve) => setImmediate(resolve))
    release()
    expect((await later).status).toBe(200)
  })

  test('a failing view is a 500 without its reason, and the server goes on', async () => {
    const { ask } = await serve({
      status: () => {
        throw new Error('secret detail')
      },
    })
    const answer = await ask('/api/v1/status')
    expect([answer.status, answer.text]).toEqual([500, '{"error":"internal error"}\n'])
    expect((await ask('/livez')).status).toBe(200)
  })

  test('a body that is too long is refused, announced or not', async () => {
    const { port, fake } = await serve()
    const head = `POST /-/drain HTTP/1.1\r\nHost: 127.0.0.1\r\n`
    expect(await raw(port, `${head}Content-Length: 5000\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 /)
    const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`
    expect(await raw(port, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}${chunk}`)).toMatch(/^HTTP\/1.1 413 /)
    expect(fake.drained).toBe(0)
  })

  test.each([
    ['Redis protocol', '*1\r\n$4\r\nPING\r\n', '400'],
    ['a target with a host', 'GET http://x/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n', '400'],
    ['a target with two slashes', 'GET //x/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n', '400'],
    ['too long headers', `GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`, '431'],
  ])('%s is refused and the connection closed', async (_, bytes, status) => {
    const { port, ask } = await serve()
    expect(await raw(port, bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect((await ask('/livez')).status).toBe(200)
  })

  test('stop closes idle and half-open connections, and frees the port', async () => {
    const { server, port, ask } = await serve()
    await ask('/livez')
    const half = raw(port, 'GET /livez HTTP/1.1\r\n')
    await ask('/livez')
    await server.stop()
    await half
    const next = await serve({ port })
    expect(next.port).toBe(port)
  })

  test('a taken port rejects start', async () => {
    const { port } = await serve()
    await expect(serve({ port })).rejects.toThrow('EADDRINUSE')
  })
})
