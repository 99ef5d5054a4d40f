/**
 * Tests of Redis's suite that a tenant of Regis cannot pass, and why: what they ask for belongs to whoever runs the servers, or
 * would show other tenants. A test that is lost and not named here is a bug. Names are the suite's own.
 */
const reasons: readonly (readonly [why: string, ...names: string[]])[] = []

export const lostWithReason: ReadonlyMap<string, string> = new Map(
  reasons.flatMap(([why, ...names]) => names.map((name) => [name, why] as const)),
)
