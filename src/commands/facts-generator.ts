/**
 * `npm run facts [host:port]`: asks a live redis-server for its commands and writes facts.generated.ts next to this
 * file's source. Without an address it starts a redis-server of its own on a free port and ends it. A window: sockets,
 * files, a child process, stdout. Everything that can be tested without them is in facts-render.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { factRows, renderFacts } from './facts-render.ts'

const startMsMax = 5_000

function findServer(): string {
  const named = process.env['REGIS_REDIS_SERVER']
  if (named !== undefined && named !== '') return named
  for (const folder of (process.env['PATH'] ?? '').split(delimiter))
    if (existsSync(join(folder, 'redis-server'))) return join(folder, 'redis-server')
  throw new Error('no redis-server: give host:port of a live one, or set REGIS_REDIS_SERVER')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

function connect(host: string, port: number): Redis {
  const redis = new Redis({
    host,
    port,
    protocol: 2,
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: (tries) => (tries * 100 > startMsMax ? null : 100),
  })
  redis.on('error', () => {}) // a server that is still starting refuses; the command below fails in the end
  return redis
}

/** The COMMAND reply and the version of one server. */
export async function askServer(host: string, port: number): Promise<{ reply: unknown; version: string }> {
  const redis = connect(host, port)
  try {
    const info = String(await redis.info('server'))
    return { reply: await redis.call('COMMAND'), version: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown' }
  } finally {
    redis.disconnect()
  }
}

async function main(address: string | undefined): Promise<void> {
  let child: ChildProcess | undefined
  try {
    let host = '127.0.0.1'
    let port: number
    if (address === undefined) {
      port = await freePort()
      const args = ['--port', String(port), '--bind', host, '--save', '', '--appendonly', 'no']
      child = spawn(findServer(), args, { stdio: 'ignore' })
    } else {
      const colon = address.lastIndexOf(':')
      host = colon < 0 ? address : address.slice(0, colon)
      port = colon < 0 ? 6379 : Number(address.slice(colon + 1))
    }
    const { reply, version } = await askServer(host, port)
    const rows = factRows(reply)
    const target = fileURLToPath(new URL('../../src/commands/facts.generated.ts', import.meta.url))
    writeFileSync(target, renderFacts(rows, version))
    process.stdout.write(`src/commands/facts.generated.ts: ${rows.length} commands of Redis ${version}\n`)
  } finally {
    child?.kill()
  }
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  main(process.argv[2]).catch((error: unknown) => {
    process.stderr.write(`facts: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
}
