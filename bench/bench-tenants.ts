/**
 * Who is configured in the Regis that is measured: one tenant with quotas that never bind and two users of two levels, one
 * with scripts, a hundred more. Pure.
 */
import type { Login } from './targets.ts'

const login = (user: string): Login => ({ user, password: 'bench' })

export const logins = {
  main: login('bench-app'),
  eventual: login('bench-eventual'),
  scripts: login('bench-scripts'),
  /** Whose replies are checked: values of 70 kB among them, which for a minute cost the reads of their tenant something (src/session/large-reads.ts). */
  check: login('bench-check'),
  many: Array.from({ length: 100 }, (_, i) => login(`bench-${String(i).padStart(3, '0')}`)),
} as const

/** Every kind of limit that is asked for each command or connection, none near. */
const neverBinding = 'quota: { scope: proxy, ops: 900000000/s, bandwidth: 3GiB/s, connections: 100000, leases: 1000 }'

/** Lines of proxy.yaml. */
export function benchTenants(options: { readonly hasQuotas: boolean; readonly clientsMax?: number }): string[] {
  const quota = options.hasQuotas ? `, ${neverBinding}` : ''
  const user = (one: Login, more = '') => `${one.user}: { password: ${one.password}${more} }`
  return [
    ...(options.clientsMax === undefined ? [] : [`limits: { max_clients: ${options.clientsMax} }`]),
    'upstream: { acl: provision }',
    'tenants:',
    `  bench: { users: { ${user(logins.main)}, ${user(logins.eventual, ', consistency: eventual')} }${quota} }`,
    `  check: { users: { ${user(logins.check)} }${quota} }`,
    `  scripts: { users: { ${user(logins.scripts)} }, scripts: declared${quota} }`,
    ...logins.many.map((one) => `  of-${one.user}: { users: { ${user(one)} }${quota} }`),
  ]
}
