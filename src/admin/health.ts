/** Is this process fit to serve, and why not: /livez, /readyz, and what a worker tells its supervisor. Pure. */
import type { Node } from '../regions/node.ts'
import type { Health, HealthCheck } from './http.ts'

export interface HealthFacts {
  /** Its listeners are open. */
  readonly isListening: boolean
  readonly isDraining: boolean
  /** Memory allows new clients. */
  readonly hasMemory: boolean
  readonly nodes: readonly Pick<Node, 'isReadable'>[]
  readonly primary: Pick<Node, 'address'> | undefined
  /** More than one node says that it is the primary. */
  readonly isSplit: boolean
  /** Why the Sentinels name none; '' or undefined: they do, or there are none. */
  readonly trouble: string | undefined
}

export function healthOf(facts: HealthFacts): Health {
  const { isListening, isDraining, hasMemory, nodes } = facts
  const readable = nodes.filter((node) => node.isReadable).length
  const checks = [
    {
      name: 'listening',
      ok: isListening && !isDraining && hasMemory,
      detail: isDraining ? 'draining' : hasMemory ? 'clients are accepted' : 'no new clients: memory is short',
    },
    { name: 'readable node', ok: readable > 0, detail: `${readable} of ${nodes.length} nodes` },
  ]
  return { live: true, ready: checks.every((check) => check.ok), checks: [...checks, primaryCheck(facts)] }
}

/** Told, but no reason to leave the load balancer: reads go on without a primary. */
function primaryCheck({ primary, isSplit, trouble }: HealthFacts): HealthCheck {
  return {
    name: 'primary',
    ok: primary !== undefined,
    detail: isSplit ? 'two nodes say master' : (primary?.address.region ?? (trouble || 'none')),
  }
}
