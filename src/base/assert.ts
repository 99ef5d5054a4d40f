/** Asserts: what must hold and what must not. A failed one is a bug of ours, never bad input. */
export class AssertionError extends Error {
  override name = 'AssertionError'
}

/** Throws AssertionError when the claim does not hold. Never on the path of a good command with a built string: pass a constant. */
export function assert(claim: boolean, message: string): asserts claim {
  if (!claim) throw new AssertionError(message)
}
