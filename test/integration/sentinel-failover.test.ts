/**
 * Failovers by real Sentinels under load, one after the other in one set: the primary is killed and started again, it is
 * stopped and wakes up later, it is replaced by order. Every command is answered, nothing runs twice, nothing reaches the
 * old primary once the switch is known; what was lost is told. A thousand of them: npm run soak -- failover.
 */
import { FailoverRig, type Fault, told } from '../soak/failover.ts'

let rig: FailoverRig

beforeAll(async () => {
  rig = await FailoverRig.start({ seed: Number(process.env['SEED'] ?? 4), pauseMs: 5 })
})

test.each<Fault>(['SIGKILL', 'SIGSTOP', 'ordered'])(
  'failover (%s): all is answered, nothing twice, nothing for the old primary once it is known',
  async (fault) => {
    const report = await rig.failover(fault)
    console.info(told(report))
    expect(report.wrong.slice(0, 10)).toEqual([])
    expect(report.lateWrites.slice(0, 5)).toEqual([])
    expect(report.acknowledged).toBeGreaterThan(0)
    // A generous bound: it shows that they do resume. How fast is printed.
    expect(report.resumedMs).toBeLessThan(30_000)
  },
  120_000,
)
