/**
 * `npm run facts [host:port]`: asks a live redis-server for its commands and writes facts.generated.ts next to this
 * file's source. Without an address it starts a redis-server of its own on a free port and ends it.
 * `npm run facts -- newer host:port ...`: asks newer servers for what those facts lack, and writes
 * facts-newer.generated.ts. A window: sockets, files, a child process, stdout. Everything that can be tested without them is in facts-render.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { facts } from './facts.generated.ts'
import { factRows, newerRows, renderFacts, renderNewer, type ServerAnswers, sinceByName } from './facts-render.ts'

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

const target = (name: string): string => fileURLToPath(new URL(`../../src/commands/${name}`, import.meta.url))

function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return colon < 0
    ? { host: address, port: 6379 }
    : { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
}

async function askNewer(address: string): Promise<ServerAnswers> {
  const { host, port } = hostAndPort(address)
  const redis = connect(host, port)
  try {
    const info = String(await redis.info('server'))
    const field = (name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
    const valkey = field('valkey_version')
    return {
      product: valkey === undefined ? 'Redis' : 'Valkey',
      version: valkey ?? field('redis_version') ?? 'unknown',
      rows: factRows(await redis.call('COMMAND')),
      since: sinceByName(await redis.call('COMMAND', 'DOCS')),
    }
  } finally {
    redis.disconnect()
  }
}

async function newer(addresses: readonly string[]): Promise<void> {
  const servers = await Promise.all(addresses.map(askNewer))
  const rows = newerRows(facts, servers)
  writeFileSync(target('facts-newer.generated.ts'), renderNewer(rows, servers))
  process.stdout.write(`src/commands/facts-newer.generated.ts: ${rows.length} commands\n`)
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
      ;({ host, port } = hostAndPort(address))
    }
    const { reply, version } = await askServer(host, port)
    const rows = factRows(reply)
    writeFileSync(target('facts.generated.ts'), renderFacts(rows, version))
    process.stdout.write(`src/commands/facts.generated.ts: ${rows.length} commands of Redis ${version}\n`)
  } finally {
    child?.kill()
  }
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  const [first, ...more] = process.argv.slice(2)
  const run = first === 'newer' ? newer(more) : main(first)
  run.catch((error: unknown) => {
    process.stderr.write(`facts: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
}
