/**
 * Failovers by real Sentinels under load: the primary is killed, and it is stopped and wakes up later. Every command is
 * answered, nothing runs twice, nothing reaches the old primary once the switch is known; what was lost is told.
 */
import { type Fault, failoverRound, told } from '../soak/failover.ts'

test.each<Fault>(['SIGKILL', 'SIGSTOP', 'ordered'])(
  'failover (%s): all is answered, nothing twice, nothing for the old primary once it is known',
  async (fault) => {
    const report = await failoverRound(fault, Number(process.env['SEED'] ?? 4))
    console.info(told(report))
    expect(report.wrong.slice(0, 10)).toEqual([])
    expect(report.lateWrites.slice(0, 5)).toEqual([])
    expect(report.acknowledged).toBeGreaterThan(0)
    // A generous bound: it shows that they do resume. How fast is printed.
    expect(report.resumedMs).toBeLessThan(30_000)
  },
  120_000,
)
