/** Logs in to the nodes of a configuration and asks them about themselves. ~ sockets (ioredis), the clock. Changes nothing there. */
import { Redis } from 'ioredis'
import type { Config, NodeConfig } from '../config/config.ts'
import { type NodeReport, withLag } from './node-report.ts'

/** Settings of a node that are looked at. */
const settings = [
  'busy-reply-threshold',
  'databases',
  'maxmemory-policy',
  'min-replicas-to-write',
  'replica-read-only',
] as const

/** All at once; takes at most a few times upstream.timeout. Never rejects. */
export async function inspectNodes(config: Config): Promise<NodeReport[]> {
  const nodes = config.regions.flatMap((region) => region.nodes.map((node) => ({ region: region.name, node })))
  return withLag(await Promise.all(nodes.map(({ region, node }) => inspect(region, node, config.upstream.timeoutMs))))
}

async function inspect(region: string, node: NodeConfig, timeoutMs: number): Promise<NodeReport> {
  const redis = new Redis(optionsFor(node, timeoutMs))
  let lastError: Error | undefined
  redis.on('error', (error: Error) => {
    lastError = error
  })
  try {
    await redis.connect()
    return { name: node.name, region, ...(await ask(redis)) }
  } catch (error) {
    const first = lastError ?? (error instanceof Error ? error : new Error(String(error)))
    return { name: node.name, region, problem: problemText(first, node), unknown: [] }
  } finally {
    redis.disconnect()
  }
}

function optionsFor(node: NodeConfig, timeoutMs: number) {
  return {
    host: node.host,
    port: node.port,
    ...(node.username === undefined ? {} : { username: node.username }),
    ...(node.password === undefined ? {} : { password: node.password }),
    ...(node.tls
      ? { tls: { servername: node.servername ?? node.host, ...(node.ca === undefined ? {} : { ca: node.ca }) } }
      : {}),
    protocol: 2 as const,
    connectionName: 'regis-check',
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
  }
}

async function ask(redis: Redis): Promise<Omit<NodeReport, 'name' | 'region'>> {
  const unknown: string[] = []
  /** What a login may be forbidden to ask is no reason to fail. */
  const maybe = async <T>(what: string, reply: Promise<T>): Promise<T | undefined> => {
    try {
      return await reply
    } catch (error) {
      if (!(error instanceof Error) || !/^(NOPERM|ERR unknown)/.test(error.message)) throw error
      unknown.push(what)
      return undefined
    }
  }
  // The first one after the login: a wrong password shows here.
  await redis.ping()
  let rttMs = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const startedAt = performance.now()
    await redis.ping()
    rttMs = Math.min(rttMs, performance.now() - startedAt)
  }
  const sentAtMs = Date.now()
  const time = await maybe('TIME', redis.time())
  const gotAtMs = Date.now()
  const info = parseInfo((await maybe('INFO', redis.info())) ?? '')
  const config = new Map<string, string>()
  for (const name of settings) {
    const pair = await maybe(`CONFIG GET ${name}`, redis.config('GET', name))
    const value: unknown = Array.isArray(pair) ? pair[1] : undefined
    if (value !== undefined) config.set(name, String(value))
  }
  const defaultUser = await maybe('ACL GETUSER default', redis.call('ACL', 'GETUSER', 'default'))
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text))
  const role = info.get('role')
  return defined({
    role: role === 'master' ? 'primary' : role === 'slave' ? 'replica' : 'other',
    version: info.get('redis_version'),
    rttMs,
    link: info.get('master_link_status'),
    offset: number(info.get(role === 'master' ? 'master_repl_offset' : 'slave_repl_offset')),
    skewMs: time === undefined ? undefined : Number(time[0]) * 1000 + Number(time[1]) / 1000 - (sentAtMs + gotAtMs) / 2,
    skewErrorMs: time === undefined ? undefined : (gotAtMs - sentAtMs) / 2 + 1,
    isLoading: info.get('loading') === '1',
    databases: number(config.get('databases')),
    busyReplyMs: number(config.get('busy-reply-threshold')),
    maxmemoryPolicy: config.get('maxmemory-policy'),
    minReplicasToWrite: number(config.get('min-replicas-to-write')),
    isReplicaReadOnly: config.has('replica-read-only') ? config.get('replica-read-only') === 'yes' : undefined,
    isDefaultOpen: defaultUser === undefined ? undefined : isOpen(defaultUser),
    unknown,
  })
}

/** The reply of ACL GETUSER: pairs in a flat list, the flags a list of words. */
function isOpen(reply: unknown): boolean {
  const flags: unknown = Array.isArray(reply) ? reply[reply.indexOf('flags') + 1] : undefined
  return Array.isArray(flags) && flags.includes('on') && flags.includes('nopass')
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}

function problemText(error: NodeJS.ErrnoException, node: NodeConfig): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'nothing listens there'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the name is not known'
    case 'ETIMEDOUT':
      return 'no answer in time'
    default:
  }
  if (/^(WRONGPASS|NOAUTH)/.test(error.message) || /invalid (username|password)/.test(error.message)) {
    return node.password === undefined ? 'it wants a login, and there is none for it' : 'it refuses the login'
  }
  const secret = node.password
  // Nothing of ours is in there as far as we know; a password must not be whatever happens.
  return secret === undefined || secret === '' ? error.message : error.message.replaceAll(secret, '***')
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }
function defined<T extends { readonly unknown: readonly string[] }>(it: T): Defined<T> & Pick<T, 'unknown'> {
  return Object.fromEntries(Object.entries(it).filter(([, value]) => value !== undefined)) as Defined<T> &
    Pick<T, 'unknown'>
}
