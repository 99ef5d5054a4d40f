/**
 * The lines that a person types while the demo runs, and the arguments that mean the same: text in, a value out. Pure;
 * fleet.ts does what they say.
 */
export type Control =
  | { readonly verb: 'latency'; readonly one: string; readonly other: string; readonly rttMs: number }
  | { readonly verb: 'lag'; readonly region: string; readonly lagMs: number }
  | { readonly verb: 'partition'; readonly region: string; readonly on: boolean }
  | { readonly verb: 'kill' | 'restart'; readonly region: string }
  | { readonly verb: 'load'; readonly opsPerSecond: number }
  | { readonly verb: 'help' | 'quit' }

/** What was wrong with a line, for the person who typed it. */
export class ControlError extends Error {
  override name = 'ControlError'
}

export const controlHelp = `latency eu-west:ap-south=900ms   round trip between two regions, clients and replication
lag ap-south=2s                  more delay on what that region's replica hears from the primary
partition ap-south on|off        cut a region off from the others, silently
kill primary|REGION              SIGKILL of that redis-server; restart brings it back, empty
restart primary|REGION
load 200                         commands a second in all; 0: none
quit                             the same as Ctrl-C`

/** A line as a control; undefined for an empty one. Throws ControlError. `primary` stands for the primary's region. */
export function parseControl(line: string, regions: readonly string[], primary: string): Control | undefined {
  const [verb = '', ...words] = line.trim().split(/\s+/)
  const region = (name: string | undefined) => {
    if (name === 'primary') return primary
    if (name !== undefined && regions.includes(name)) return name
    throw new ControlError(`${name ?? 'nothing'} is not a region: ${regions.join(', ')}`)
  }
  switch (verb) {
    case '':
      return undefined
    case 'latency': {
      const { one, other, rttMs } = parseLatency(words.join(''))
      return { verb, one: region(one), other: region(other), rttMs }
    }
    case 'lag': {
      const lag = parseLag(words.join(''))
      if (lag.region === primary) throw new ControlError(`${primary} holds the primary: only replicas lag`)
      return { verb, region: region(lag.region), lagMs: lag.lagMs }
    }
    case 'partition': {
      const [name, state] = words
      if (state !== 'on' && state !== 'off') throw new ControlError('partition REGION on, or partition REGION off')
      return { verb, region: region(name), on: state === 'on' }
    }
    case 'kill':
    case 'restart':
      return { verb, region: region(words[0]) }
    case 'load': {
      const opsPerSecond = Number(words[0])
      if (words.length !== 1 || !(opsPerSecond >= 0)) throw new ControlError('load OPS, for example: load 200')
      return { verb, opsPerSecond }
    }
    case 'help':
      return { verb: 'help' }
    case 'quit':
    case 'exit':
      return { verb: 'quit' }
    default:
      throw new ControlError(`${verb} is not known here; type help`)
  }
}

/** `eu-west:us-east=80ms`. Throws ControlError. */
export function parseLatency(text: string): { one: string; other: string; rttMs: number } {
  const [, one, other, value] = /^([^:=\s]+):([^:=\s]+)=(\S+)$/.exec(text) ?? []
  if (one === undefined || other === undefined || value === undefined || one === other) {
    throw new ControlError(`${text || 'nothing'} is not REGION:REGION=DURATION, for example eu-west:us-east=80ms`)
  }
  return { one, other, rttMs: parseDurationMs(value) }
}

/** `ap-south=2s`. Throws ControlError. */
export function parseLag(text: string): { region: string; lagMs: number } {
  const [, region, value] = /^([^:=\s]+)=(\S+)$/.exec(text) ?? []
  if (region === undefined || value === undefined) {
    throw new ControlError(`${text || 'nothing'} is not REGION=DURATION, for example ap-south=2s`)
  }
  return { region, lagMs: parseDurationMs(value) }
}

/** `250ms`, `2s`, `1.5m` in ms. Throws ControlError. */
export function parseDurationMs(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  if (amount === undefined || unit === undefined)
    throw new ControlError(`${text} is not a duration such as 250ms or 2s`)
  return Number(amount) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as 'ms' | 's' | 'm' | 'h']
}
