/**
 * `npm test` says the same of the same tree: generated cases come from one seed. `SEED=7` takes another one,
 * `SEED=random` a new one for each file, RUNS= more cases where a test allows it. A counterexample that another seed finds
 * becomes a case of its own.
 */
import fc from 'fast-check'

if (process.env['SEED'] === 'random') process.env['SEED'] = String(Math.floor(Math.random() * 1_000_000))
fc.configureGlobal({ seed: Number(process.env['SEED'] ?? 1) })
