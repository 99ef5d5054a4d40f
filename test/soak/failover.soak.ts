/**
 * A chain of failovers in one set, faults in a random order by SEED, until FAILOVERS of them are done or MINUTES are over,
 * or one shows something wrong. A line for each, a summary now and then and at the end. The clients are modest (some
 * hundreds of commands a second in all), so that it can go on for hours beside other work. npm run soak -- failover.
 * PING_MS: how often the Sentinels ping, instead of every second.
 */
import { writeSync } from 'node:fs'
import { randomFrom } from '../kit/exchange.ts'
import { downAfterMs, type FailoverReport, FailoverRig, type Fault, faults } from './failover.ts'

const seed = Number(process.env['SEED'] ?? 1)
const failovers = Number(process.env['FAILOVERS'] ?? Number.POSITIVE_INFINITY)
const pingMs = process.env['PING_MS'] === undefined ? {} : { pingMs: Number(process.env['PING_MS']) }
const minutes = Number(process.env['MINUTES'] ?? 120)
const regions = ['eu', 'us', 'ap'] as const
/** An aim, and no more: a machine with other work on it is slower. */
const resumedMsAim = downAfterMs + 2_000

// A killed server's port is free for a while: from parts of the range that no other run of tests takes from.
process.env['JEST_WORKER_ID'] = String(3 + (seed % 2))

// Not console: jest gathers that, and a chain of hours should be seen while it runs.
const say = (line: string): void => {
  writeSync(1, `${line}\n`)
}
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
const quantile = (list: readonly number[], share: number): string =>
  String(Math.round([...list].sort((a, b) => a - b)[Math.ceil(list.length * share) - 1] ?? Number.NaN))

function line(number: number, report: FailoverReport): string {
  const {
    fault,
    resumedMs,
    announcedMs,
    answered,
    acknowledged,
    lost,
    lossesSeen,
    ghostWrites,
    lateWrites,
    wrong,
    switches,
  } = report
  return [
    `${String(number).padStart(4)} ${fault.padEnd(7)} resumed ${Math.round(resumedMs)} ms, announced ${announcedMs} ms`,
    `answered ${answered}, longest ${Math.round(report.longestMs)} ms`,
    `lost ${lost} of ${acknowledged}, seen by ${lossesSeen} reads`,
    `ghosts ${ghostWrites}, late ${lateWrites.length}, wrong ${wrong.length}`,
    ...(switches > 1 ? [`${switches} switches`] : []),
    JSON.stringify(report.excuses),
  ].join('; ')
}

/** Of what is kept of a report: figures. */
type Row = Pick<FailoverReport, 'fault' | 'resumedMs' | 'announcedMs' | 'answered' | 'acknowledged' | 'lost'> &
  Pick<FailoverReport, 'ghostWrites' | 'longestMs' | 'switches'> & { readonly late: number; readonly wrong: number }

function summary(rows: readonly Row[]): string[] {
  const told = (name: string, of: readonly Row[]): string => {
    const resumed = of.map(({ resumedMs }) => resumedMs)
    const announced = of.map(({ announcedMs }) => announcedMs)
    const behind = of.map(({ resumedMs, announcedMs }) => resumedMs - announcedMs)
    return [
      `${name.padEnd(7)} ${of.length} failovers: writes resumed after p50 ${quantile(resumed, 0.5)}, p95 ${quantile(resumed, 0.95)}, max ${quantile(resumed, 1)} ms`,
      `announced after p50 ${quantile(announced, 0.5)}, p95 ${quantile(announced, 0.95)} ms, writes behind that p50 ${quantile(behind, 0.5)}, p95 ${quantile(behind, 0.95)} ms`,
      `answered ${sum(of.map(({ answered }) => answered))}, longest ${quantile(
        of.map(({ longestMs }) => longestMs),
        1,
      )} ms`,
      `lost ${sum(of.map(({ lost }) => lost))} of ${sum(of.map(({ acknowledged }) => acknowledged))} acknowledged pushes, in ${of.filter(({ lost }) => lost > 0).length} failovers`,
      `${of.filter(({ switches }) => switches > 1).length} with a further switch`,
      `ghosts ${sum(of.map(({ ghostWrites }) => ghostWrites))}, late ${sum(of.map(({ late }) => late))}, wrong ${sum(of.map(({ wrong }) => wrong))}`,
    ].join('; ')
  }
  return [
    ...faults.map((fault) =>
      told(
        fault,
        rows.filter((row) => row.fault === fault),
      ),
    ),
    told('all', rows),
  ]
}

/** All kinds once, in a random order, again and again. */
function* mixed(random: () => number): Generator<Fault> {
  for (;;) {
    const left = [...faults]
    while (left.length > 0) yield left.splice(Math.floor(random() * left.length), 1)[0]!
  }
}

test(
  'failover after failover: all answered, nothing twice, nothing late, nothing of another',
  async () => {
    const random = randomFrom(seed)
    const region = regions[seed % regions.length]!
    const endsAt = performance.now() + minutes * 60_000
    const rig = await FailoverRig.start({ seed, pauseMs: 400, region, ...pingMs })
    say(
      `failovers by seed ${seed}, the proxy in ${region}${pingMs.pingMs === undefined ? '' : `, Sentinels ping every ${pingMs.pingMs} ms`}; writes should resume within ${resumedMsAim} ms at p95`,
    )
    const rows: Row[] = []
    for (const fault of mixed(random)) {
      if (rows.length >= failovers || performance.now() > endsAt) break
      const report = await rig.failover(fault)
      const { lateWrites, wrong, events, excuses: _, lossesSeen: __, ...figures } = report
      rows.push({ ...figures, late: lateWrites.length, wrong: wrong.length })
      say(line(rows.length, report))
      const isWrong = wrong.length > 0 || lateWrites.length > 0
      if (isWrong || report.resumedMs > 2 * resumedMsAim) for (const event of events) say(`     ${event}`)
      if (isWrong) {
        for (const text of [...wrong, ...lateWrites].slice(0, 40)) say(`     ${text}`)
        break
      }
      if (rows.length % 100 === 0) for (const text of summary(rows)) say(text)
    }
    say(`seed ${seed}, ${rows.length} failovers in ${Math.round((performance.now() - endsAt) / 1000 + minutes * 60)} s`)
    for (const text of summary(rows)) say(text)
    expect(rows.filter(({ wrong, late }) => wrong + late > 0)).toEqual([])
    expect(rows.length).toBeGreaterThan(0)
  },
  2 ** 31 - 1,
)
