/** What every file here stands on: one redis-server, one Regis in front of it, a tenant, and both addresses. */
import type { RedisServer, RedisServerOptions } from '../../src/demo/redis-server.ts'
import { type StartedProxy, type StartProxyOptions, startProxy, startRedis } from '../kit/servers.ts'

export const user = 'shop-app'
export const password = 'demo'
export const prefix = 'shop:'

export interface Stage {
  readonly redis: RedisServer
  readonly proxy: StartedProxy
}

export interface StageOptions extends RedisServerOptions, StartProxyOptions {
  /** What the tenants may do with scripts; default: what Regis does by default. */
  readonly scripts?: 'declared' | 'any'
}

export function configOf(redis: RedisServer, options: StageOptions = {}): Record<string, unknown> {
  const scripts = options.scripts === undefined ? {} : { scripts: options.scripts }
  return {
    region: 'eu-west',
    primary: 'eu-west',
    upstream: { username: 'default', password: 'known to no tenant' },
    regions: { 'eu-west': { nodes: [redis.url] } },
    tenants: {
      shop: { ...scripts, users: { [user]: { password } } },
      analytics: { ...scripts, users: { 'analytics-app': { password } } },
    },
  }
}

/** The server knows the tenant's user too, so that a client logs in to both in the same words. */
export async function startStage(options: StageOptions = {}): Promise<Stage> {
  const redis = await startRedis(options)
  await redis.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '&*', '+@all')
  return { redis, proxy: await startProxy(configOf(redis, options), options) }
}
