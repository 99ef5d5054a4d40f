/** The admin port of a proxy with several workers: the supervisor's. */
import { AdminServer } from '../admin/http.ts'
import { rowsShownMax } from '../base/limits.ts'
import { redactedConfig } from '../config/print.ts'
import type { Supervisor } from './supervisor.ts'

export function buildAdmin(supervisor: Supervisor): AdminServer {
  const { host, port, token } = supervisor.config.admin
  return new AdminServer({
    host,
    port,
    token,
    log: supervisor.log,
    metrics: { contentType: 'text/plain', pieces: () => Promise.resolve([]) },
    health: () => supervisor.health(),
    status: () => ({ version: supervisor.version, region: supervisor.config.region, workers: supervisor.workers }),
    regions: () => ({}),
    tenants: () => ({}),
    clients: () => ({}),
    rules: () => supervisor.config.routing.rules,
    config: () => redactedConfig(supervisor.config, rowsShownMax) as object,
    stats: () => ({}),
    slowlog: () => Promise.resolve({}),
    explain: () => ({ status: 404, error: 'no such user' }),
    reload: (isDryRun) => supervisor.reload('POST /-/reload', isDryRun ? 'dry run' : 'reload'),
    drain: () => supervisor.beginDrain(),
  })
}
