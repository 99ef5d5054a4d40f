/**
 * Runs the small benches: nanoseconds per command of one room, without sockets. They explain the whole path, they do not
 * replace it (77 % of a proxy's CPU is the kernel's). Usage: npm run bench:micro -- [words of the names]. ~ prints.
 */
import { admissionCases } from './admission.bench.ts'
import { chooseCases } from './choose.bench.ts'
import { lookupCases } from './lookup.bench.ts'
import { parserCases } from './parser.bench.ts'
import { quantile } from './report.ts'
import { rewriteCases } from './rewrite.bench.ts'
import { rulesCases } from './rules.bench.ts'
import { siblingCases } from './siblings.bench.ts'

export interface MicroCase {
  readonly name: string
  /** Commands (or replies) that one call of `run` handles. */
  readonly perRun: number
  /** Returns a number that depends on the work, so that none of it can be optimised away. */
  run(): number
}

const roundMs = 60
const rounds = 7

function measure(one: MicroCase): { ns: number; iqr: number } {
  let sink = 0
  const forMs = (ms: number): number => {
    const startedAt = performance.now()
    let runs = 0
    let elapsedMs = 0
    while (elapsedMs < ms) {
      for (let i = 0; i < 64; i++) sink += one.run()
      runs += 64
      elapsedMs = performance.now() - startedAt
    }
    return (elapsedMs * 1e6) / (runs * one.perRun)
  }
  forMs(roundMs) // compiled and warm
  const results = Array.from({ length: rounds }, () => forMs(roundMs))
  if (Number.isNaN(sink)) throw new Error(`${one.name} computed nothing`)
  const ns = quantile(results, 0.5)
  return { ns, iqr: (quantile(results, 0.75) - quantile(results, 0.25)) / ns }
}

const words = process.argv.slice(2)
process.stdout.write(`node ${process.version}; median of ${rounds} rounds of ${roundMs} ms\n`)
const rooms = [parserCases, lookupCases, admissionCases, rewriteCases, rulesCases, chooseCases, siblingCases]
for (const one of rooms.flatMap((cases) => cases())) {
  if (words.length > 0 && !words.some((word) => one.name.includes(word))) continue
  const { ns, iqr } = measure(one)
  process.stdout.write(`${one.name.padEnd(44)} ${ns.toFixed(1).padStart(9)} ns  ±${Math.round(iqr * 100)}%\n`)
}
