/**
 * What all clients of one tenant did to names they share: elements of queues, counters raised by WATCH and EXEC, pairs of
 * counters raised in one transaction. Each client writes down what it did; `check` compares with what the server holds.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'

export const queues = ['q:0', 'q:1', 'q:2'] as const
export const counters = ['cas:0'] as const

export class TenantLedger {
  readonly tenant: string
  readonly wrong: string[] = []
  /** Elements that were pushed, by queue: whether the push was acknowledged. */
  readonly pushed = new Map<string, boolean>()
  readonly popped = new Set<string>()
  /** Pops whose answer never came: each may have taken one element with it. */
  popsLost = 0
  /** By counter and value: the client that was told that it had raised it to that. */
  private readonly raised = new Map<string, number>()
  private readonly raisesLost = new Map<string, number>()
  conflicts = 0

  constructor(tenant: string) {
    this.tenant = tenant
  }

  pop(element: string, client: number): string | undefined {
    if (!this.pushed.has(element)) return `${element} was never pushed`
    if (this.popped.has(element)) return `${element} came twice, now to ${client}`
    this.popped.add(element)
    return undefined
  }

  raise(counter: string, to: number, client: number): string | undefined {
    const name = `${counter} ${to}`
    const other = this.raised.get(name)
    if (other !== undefined) return `${counter} was raised to ${to} by ${other} and by ${client}`
    this.raised.set(name, client)
    return undefined
  }

  /** One more, or one less, of which nobody knows whether it was raised. */
  raiseLost(counter: string, by: 1 | -1): void {
    this.raisesLost.set(counter, (this.raisesLost.get(counter) ?? 0) + by)
  }

  get raises(): number {
    return this.raised.size
  }

  async check(server: RedisServer): Promise<string[]> {
    const problems = [...this.wrong]
    const left = new Set<string>()
    for (const queue of queues)
      for (const element of (await server.call('LRANGE', `${this.tenant}:${queue}`, 0, -1)) as string[]) {
        if (this.popped.has(element) || left.has(element)) problems.push(`${element} was popped and is there`)
        if (!this.pushed.has(element)) problems.push(`${element} in ${queue} was never pushed`)
        left.add(element)
      }
    const lost = [...this.pushed].filter(([one, isAcked]) => isAcked && !this.popped.has(one) && !left.has(one))
    if (lost.length > this.popsLost)
      problems.push(`${this.tenant}: ${lost.length} elements are gone, ${this.popsLost} pops were: ${lost[0]}`)
    for (const counter of counters) {
      const value = Number(await server.call('GET', `${this.tenant}:${counter}`))
      const told = [...this.raised.keys()].filter((name) => name.startsWith(`${counter} `))
      const most = Math.max(0, ...told.map((name) => Number(name.split(' ')[1])))
      const uncertain = this.raisesLost.get(counter) ?? 0
      if (value < most) problems.push(`${this.tenant} ${counter} is ${value}, and was raised to ${most}`)
      if (value > told.length + uncertain)
        problems.push(`${this.tenant} ${counter} is ${value}: ${told.length} raises were told, ${uncertain} not`)
    }
    const [a, b] = [
      await server.call('GET', `${this.tenant}:pair:a`),
      await server.call('GET', `${this.tenant}:pair:b`),
    ]
    if (a !== b) problems.push(`${this.tenant}: a transaction ran by halves, ${a} and ${b}`)
    return problems
  }
}
