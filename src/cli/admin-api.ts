/**
 * Asking the admin port of a running proxy, or telling it something: where it is, with which token, and what it says. ~ HTTP requests. The address
 * and the token come from the configuration, or from --url and $REGIS_ADMIN_TOKEN (an argument would be seen in `ps`).
 */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError, loadConfig } from '../config/load.ts'
import { formatAddress, Problem, parseDuration } from '../config/values.ts'
import { type CliContext, configOption, regionOption } from './context.ts'

export interface AdminOptions {
  readonly config: string
  readonly region?: string
  readonly url?: string
  readonly timeout: number
}

export interface Admin {
  readonly url: string
  readonly token: string | undefined
  readonly timeoutMs: number
}

export interface Answer {
  /** 0: there was none, `problem` says why. */
  readonly status: number
  readonly body: string
  readonly problem?: string
}

/** A page of metrics with many tenants has some MB; more than this is not ours. */
const bodyBytesMax = 64 * 1024 * 1024

/** The options that every verb has which asks a running proxy. */
export function adminOptions(verb: Command, timeoutText = '2s'): Command {
  return verb
    .addOption(configOption())
    .addOption(regionOption())
    .addOption(new Option('--url <url>', 'ask here instead of where the configuration says').argParser(url))
    .addOption(
      new Option('--timeout <time>', 'at most this long').default(timeout(timeoutText), timeoutText).argParser(timeout),
    )
}

/** Throws ConfigError. With --url no configuration is read; the token is then $REGIS_ADMIN_TOKEN. */
export function adminOf(options: AdminOptions, context: CliContext): Admin {
  const given = context.env['REGIS_ADMIN_TOKEN']
  const token = given === undefined || given === '' ? undefined : given
  if (options.url !== undefined) return { url: options.url, token, timeoutMs: options.timeout }
  const region = options.region === undefined ? {} : { region: options.region }
  const { config, errors } = loadConfig(options.config, { env: context.env, ...region })
  if (config === undefined) throw new ConfigError(errors)
  const { host, port } = config.admin
  // Bound to every interface is bound to loopback too.
  const address = formatAddress(host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port)
  return { url: `http://${address}`, token: token ?? config.admin.token, timeoutMs: options.timeout }
}

/** Never rejects. */
export function ask(admin: Admin, path: string, method: 'GET' | 'POST' = 'GET'): Promise<Answer> {
  return new Promise((resolve) => {
    const target = new URL(path, admin.url)
    const fail = (problem: string) => resolve({ status: 0, body: '', problem })
    const open = target.protocol === 'https:' ? requestHttps : requestHttp
    const headers = admin.token === undefined ? {} : { Authorization: `Bearer ${admin.token}` }
    const request = open(target, { agent: false, headers, method }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
        if (body.length > bodyBytesMax) request.destroy(new Error('its answer does not end'))
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', (error) => fail(error.message))
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer in ${admin.timeoutMs} ms`)), admin.timeoutMs)
    request.on('error', (error: NodeJS.ErrnoException) =>
      fail(error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.message),
    )
    request.on('close', () => clearTimeout(timer))
    request.end()
  })
}

/** The body of a 200; throws with what was wrong, in words for a person. */
export async function askOrFail(admin: Admin, path: string): Promise<string> {
  const answer = await ask(admin, path)
  if (answer.status === 200) return answer.body
  throw refusedBy(admin, answer)
}

/** What was wrong, in words for a person. */
export function refusedBy(admin: Admin, { status, body, problem }: Answer): Error {
  if (problem !== undefined) return new Error(`${admin.url}: ${problem}`)
  if (status === 401)
    return new Error(`${admin.url}: the token is not right (admin.token, or REGIS_ADMIN_TOKEN with --url)`)
  return new Error(`${admin.url}: ${errorOf(body) ?? status}`)
}

function errorOf(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: unknown }
    return typeof error === 'string' ? error : undefined
  } catch {
    return undefined
  }
}

/** A query's value as the admin server takes it: everything but letters, digits, `-`, `_` and `.` is escaped. */
export function encodeQuery(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*~]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
}

function url(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) throw new InvalidArgumentError('expected http://HOST:PORT')
  return text
}

function timeout(text: string): number {
  const ms = parseDuration(text)
  if (ms instanceof Problem) throw new InvalidArgumentError(ms.text)
  return ms
}
