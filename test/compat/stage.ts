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

export function configOf(redis: RedisServer): Record<string, unknown> {
  return {
    region: 'eu-west',
    primary: 'eu-west',
    regions: { 'eu-west': { nodes: [redis.url] } },
    tenants: {
      shop: { users: { [user]: { password } } },
      analytics: { users: { 'analytics-app': { password } } },
    },
  }
}

/** The server knows the tenant's user too, so that a client logs in to both in the same words. */
export async function startStage(options: RedisServerOptions & StartProxyOptions = {}): Promise<Stage> {
  const redis = await startRedis(options)
  await redis.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '&*', '+@all')
  return { redis, proxy: await startProxy(configOf(redis), options) }
}
