/**
 * The admin port of a proxy with several workers: the supervisor's. What it shows and does is of all workers (admin/questions.ts);
 * health, reload and drain are the supervisor's own affair.
 */
import { AdminServer } from '../admin/http.ts'
import { pauseByHttp, resumeByHttp } from '../admin/pause.ts'
import { AllWorkers } from '../admin/questions.ts'
import { rowsShownMax } from '../base/limits.ts'
import { redactedConfig } from '../config/print.ts'
import type { WorkersPage } from './page.ts'
import { roundOfWorkers } from './questions.ts'
import type { Supervisor } from './supervisor.ts'

export function buildAdmin(supervisor: Supervisor, metrics: WorkersPage): AdminServer {
  const { host, port, token } = supervisor.config.admin
  const all = new AllWorkers(roundOfWorkers(supervisor.links))
  return new AdminServer({
    host,
    port,
    token,
    log: supervisor.log,
    metrics: { contentType: metrics.contentType, pieces: async () => [Buffer.from(await metrics.render())] },
    health: () => supervisor.health(),
    status: async () => statusOf(supervisor, (await all.view('status')) as StatusView),
    regions: () => all.view('regions'),
    tenants: () => all.view('tenants'),
    clients: () => all.view('clients'),
    rules: () => supervisor.config.routing.rules,
    config: () => redactedConfig(supervisor.config, rowsShownMax) as object,
    stats: () => all.view('stats'),
    slowlog: () => all.slowlog(),
    explain: (user, command, level) => all.explain(user, command, level),
    pause: (tenant, ms) => pauseByHttp(tenant, ms, (id, time) => all.pause(id, time)),
    resume: async (tenant) => resumeByHttp(await all.resume(tenant)),
    reload: (isDryRun) => supervisor.reload('POST /-/reload', isDryRun ? 'dry run' : 'reload'),
    drain: () => supervisor.beginDrain(),
  })
}

interface StatusView {
  readonly config: object
}

/** What the supervisor knows better: how long all of it runs, and the newest reload. */
function statusOf(supervisor: Supervisor, view: StatusView): object {
  return {
    ...view,
    uptime_seconds: supervisor.uptimeSeconds,
    draining: supervisor.isDraining,
    config: {
      ...view.config,
      taken_at: new Date(supervisor.configTakenAtMs).toISOString(),
      last_reload: supervisor.lastReload ?? null,
    },
    workers: supervisor.workers,
  }
}
