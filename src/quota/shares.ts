/**
 * How one limit is divided between the proxies that share it: pure arithmetic over what each of them has published. Every
 * proxy works this out for itself, from a view of its own that is a little old, and takes its own part only.
 *
 *   |- floors -|------------- by demand, max-min fair ------------|---- what is left over ----|
 *    each the       who wants little has what it wants, and the     in equal parts, so that who
 *    same, never    rest of an equal part goes to those who want    wants more can have some at
 *    zero           more                                            once
 *
 * Two numbers are published for each limit: what a proxy wants, and what it holds. The first says how the limit is to be divided.
 * The second keeps the sum in bounds while demand moves: a part is lowered as soon as the wishes of the others say so, and
 * raised only into what the others are seen to have let go. So demand that moves makes the sum too small for a moment, not
 * too large. It can be too large for one round where two raise into the same room before they see each other, and by what
 * somebody holds whom nobody has seen yet.
 */

/** What one proxy has said of one limit, per second, in the unit of the limit. */
export interface Claim {
  readonly want: number
  /** What it lets through at most until it says otherwise. */
  readonly held: number
}

/** Of a proxy that is there and has not used the limit of late: nobody has its word for what it holds, it is a floor. */
export const idleClaim: Claim = { want: 0, held: 0 }

/** All floors together, as a part of the limit: what is given away to proxies that may need none of it. */
const floorsPart = 1 / 20
/** What a proxy may let through that has not heard of the others yet. */
export const startPart = 1 / 10
/** Shares are published as whole thousandths of a unit per second. */
const steps = 1000

/**
 * The part of `limit` for a proxy that wants `want`, beside these others: never zero, never more than the limit. Also the
 * whole of it, when there are no others.
 */
export function shareOf(limit: number, want: number, others: readonly Claim[]): number {
  if (others.length === 0) return limit
  const floor = (limit * floorsPart) / (others.length + 1)
  let heldByOthers = 0
  for (const other of others) heldByOthers += Math.max(floor, other.held)
  const target = targetOf(limit, floor, want, others)
  const share = Math.max(floor, Math.min(target, limit - heldByOthers))
  // Downwards, so that the parts do not add up to more; a limit of less than a thousandth is nobody's.
  return Math.min(limit, Math.max(1, Math.floor(share * steps)) / steps)
}

/** The part that is due once everybody has let go of what is more than theirs. */
function targetOf(limit: number, floor: number, want: number, others: readonly Claim[]): number {
  const count = others.length + 1
  const mine = beyond(floor, want, limit)
  const wishes = [mine]
  for (const other of others) wishes.push(beyond(floor, other.want, limit))
  wishes.sort((a, b) => a - b)
  let left = limit - floor * count
  let open = count
  for (const wish of wishes) {
    const part = left / open
    // Wishes are sorted: this one and all that follow are cut to equal parts, and nothing is left over.
    if (wish > part) return floor + Math.min(mine, part)
    left -= wish
    open--
  }
  return floor + mine + left / count
}

/** More than the whole limit cannot be wished for: who asks for a hundred times as much is as thirsty as who asks for twice. */
function beyond(floor: number, want: number, limit: number): number {
  return Math.max(0, Math.min(want, limit) - floor)
}
