/**
 * One failover by Sentinels under load, judged from outside. The primary is killed; or stopped and continued later (the
 * split-brain rig: it wakes up and believes to be the primary still); or it lives, and the Sentinels are told to take
 * another (`ordered`): it goes on taking writes, which are lost, until they demote it. Used by an integration test, twice, and as often as
 * wanted by a soak. What comes back is a report: lost acknowledged writes are counted, never hidden.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { AttributedClient, checkLogs, excuseCounts } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { masterName, startSentinels } from '../kit/sentinels.ts'
import { startProxy } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

export type Fault = 'SIGKILL' | 'SIGSTOP' | 'ordered'

export interface FailoverReport {
  readonly fault: Fault
  /** From the fault to the first acknowledged write. */
  readonly resumedMs: number
  readonly acknowledged: number
  /** Acknowledged writes that the new primary does not have. */
  readonly lost: number
  /** Wrong replies, writes that are there twice or were never asked for, commands without an answer. */
  readonly wrong: readonly string[]
  /**
   * Writes that the old primary executed by its own account later than 250 ms after the proxy knew of the switch; and those
   * among them that are the proxy's fault: all, or where it was stopped meanwhile, those sent to the proxy after that time.
   */
  readonly ghostWrites: number
  readonly lateWrites: readonly string[]
  readonly excuses: Readonly<Record<string, number>>
  readonly longestMs: number
}

/** A write may still be on its way to the old primary for so long after the switch is known. */
const lateMs = 250
const timeoutMs = 1_000
const perTenant = 5
const tenants = [
  { name: 't0', level: 'session', readsOwnWrites: true },
  { name: 't1', level: 'eventual', readsOwnWrites: false },
  { name: 't2', level: 'strong', readsOwnWrites: true },
] as const

const switchLine = 'another primary is named'

/** Remembers when it sent what. */
class StampedClient extends AttributedClient {
  readonly sentAtMs = new Map<string, number>()

  protected override send(client: RawClient, bytes: Buffer): void {
    const now = Date.now()
    for (const id of idsIn(bytes.toString('latin1'))) this.sentAtMs.set(id, now)
    super.send(client, bytes)
  }
}

/** `tenant client seq` of every id and value in a text. */
function idsIn(text: string): string[] {
  return [...text.matchAll(/\b(t\d+)[-|](\d+)[-|](\d+)(?=\||\b)/g)].map(
    ([, tenant, id, seq]) => `${tenant} ${id} ${seq}`,
  )
}

export async function failoverRound(fault: Fault, seed: number): Promise<FailoverReport> {
  const set = await startSentinels({ regions: ['eu', 'us', 'ap'] })
  const proxy = await startProxy(
    {
      ...set.config('us'),
      upstream: { timeout: `${timeoutMs}ms` },
      tenants: Object.fromEntries(
        tenants.map(({ name, level }) => [
          name,
          { consistency: level, users: { [`${name}-app`]: { password: 'demo' } } },
        ]),
      ),
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  const clients = tenants.flatMap(({ name, readsOwnWrites }, t) =>
    Array.from({ length: perTenant }, (_, id) => {
      const user = `${name}-app`
      const common = { port: proxy.port, tenant: name, user, id, neighbours: perTenant, readsOwnWrites }
      const mine = { resp: id % 2 === 0 ? 2 : 3, seed: seed * 7919 + t * 1000 + id } as const
      return new StampedClient({ ...common, ...mine, answerMsMax: timeoutMs + 2_000 })
    }),
  )
  const load = Promise.all(clients.map((client) => client.run(1_000_000, 5)))
  const old = set.primary
  const monitor = await Ears.open(old.port, 'MONITOR')
  const ears = await Promise.all(set.sentinels.map(({ port }) => Ears.open(port, 'SUBSCRIBE', '+switch-master')))
  await sleep(700)

  const faultAt = performance.now()
  if (fault === 'ordered') expect(await set.sentinels[0]!.call('SENTINEL', 'FAILOVER', masterName)).toBe('OK')
  else await old.kill(fault)
  const writer = await proxy.client('t1-app')
  // Where the old one lives, its acknowledgements do not count.
  await waitFor(() => fault !== 'ordered' || proxy.proxy.log().includes(switchLine), 60_000, 1)
  await waitFor(async () => (await writer.call('SET', 'resumed', 'x')) === 'OK', 60_000, 1)
  const resumedMs = performance.now() - faultAt
  // The proxy hears what we hear, and says when it knew by other means.
  const heardAtMs = ears.flatMap(({ lines }) => lines.filter(({ text }) => text.includes('+switch-master')))
  const knownAtMs = Math.min(switchKnownAtMs(proxy.proxy.log()), ...heardAtMs.map(({ atMs }) => atMs))
  await sleep(500)
  if (fault === 'SIGSTOP') {
    await old.kill('SIGCONT')
    // It is a primary in its own eyes until the Sentinels have told it, some seconds later.
    await waitFor(async () => (await old.info('role').catch(() => '')) === 'slave', 60_000)
    await old.untilInSync(60_000)
  } else await sleep(fault === 'ordered' ? 1_000 : 0)
  await sleep(200)
  for (const client of clients) client.stop()
  await load
  for (const one of [monitor, ...ears]) await one.close()

  const region = await set.named()
  const now = set.node(region!)
  const isLate = (line: string): boolean => Number.parseFloat(line) * 1000 > knownAtMs + lateMs
  const ghosts = monitor.lines
    .map(({ text }) => text)
    .filter((line) => /"(SET|MSET|DEL|RPUSH)" "t\d+:/i.test(line) && isLate(line))
  const sentAtMs = new Map(clients.flatMap((client) => [...client.sentAtMs]))
  const late =
    fault === 'ordered'
      ? ghosts
      : ghosts.filter((line) => idsIn(line).some((id) => (sentAtMs.get(id) ?? 0) > knownAtMs + lateMs))
  const page = await metric(proxy)
  const tripwires = ['regis_desync_total', 'regis_foreign_prefix_total', 'regis_write_resent_after_unknown_total']
  const wrong = [
    // What was acknowledged and then lost by the servers is counted below; replies that show it are no other fault.
    ...clients.flatMap((client) => client.wrong).filter((text) => !/acknowledged/.test(text)),
    ...(await checkLogs(clients, now, { mayLose: true })),
    ...tripwires.filter((name) => page.sum(name) !== 0),
    ...(now === old ? ['the old primary is the primary'] : []),
    ...(page.sum('regis_primary_changes_total') === 0 ? ['no change of the primary was counted'] : []),
  ]
  const acknowledged = clients.flatMap((client) => [...client.pushed].filter(([, isAcked]) => isAcked))
  return {
    fault,
    resumedMs,
    acknowledged: acknowledged.length,
    lost: await countLost(clients, now),
    wrong,
    ghostWrites: ghosts.length,
    lateWrites: late.map((line) => line.slice(0, 120)),
    excuses: excuseCounts(clients),
    longestMs: Math.max(...clients.map((client) => client.longestMs)),
  }
}

const faults: readonly Fault[] = ['SIGKILL', 'SIGSTOP', 'ordered']

/** Failovers of all kinds in turn, from one seed; stops at the first that shows something wrong. For a soak. */
export async function failoverRounds(
  rounds: number,
  seed: number,
  tell: (line: string) => void,
): Promise<{ readonly reports: readonly FailoverReport[]; readonly resumedP95Ms: number }> {
  const reports: FailoverReport[] = []
  for (let i = 0; i < rounds; i++) {
    const report = await failoverRound(faults[i % faults.length]!, seed + i)
    reports.push(report)
    tell(`round ${i}, seed ${seed + i}: ${told(report)}`)
    if (report.wrong.length > 0 || report.lateWrites.length > 0) break
  }
  const resumed = reports.map(({ resumedMs }) => resumedMs).sort((a, b) => a - b)
  return { reports, resumedP95Ms: resumed[Math.ceil(resumed.length * 0.95) - 1] ?? Number.NaN }
}

export function told(report: FailoverReport): string {
  const { fault, resumedMs, acknowledged, lost, ghostWrites, lateWrites, excuses, longestMs } = report
  return [
    `failover after ${fault}: writes resumed after ${Math.round(resumedMs)} ms (down-after 1000)`,
    `${lost} of ${acknowledged} acknowledged pushes lost`,
    `the old primary ran ${ghostWrites} writes later than ${lateMs} ms after the switch was known, ${lateWrites.length} of them sent after that`,
    `longest answer ${Math.round(longestMs)} ms, excuses ${JSON.stringify(excuses)}`,
  ].join('; ')
}

async function countLost(clients: readonly AttributedClient[], server: RedisServer): Promise<number> {
  let lost = 0
  for (const client of clients) {
    const key = `${client.options.tenant}:${client.logKey}`
    const there = new Set((await server.call('LRANGE', key, 0, -1)) as string[])
    for (const [item, isAcked] of client.pushed) if (isAcked && !there.has(item)) lost++
  }
  return lost
}

/** When the proxy says that it knew, by the clock of this machine. */
function switchKnownAtMs(log: string): number {
  for (const line of log.split('\n')) {
    if (!line.includes(switchLine)) continue
    return Date.parse((JSON.parse(line) as { time: string }).time)
  }
  throw new Error('the proxy does not say that another primary was named')
}

/** What a server tells, as text, with the time at which it was heard. A demoted server closes all clients. */
class Ears {
  readonly lines: { readonly text: string; readonly atMs: number }[] = []
  readonly #client: RawClient
  #isOver = false
  #work: Promise<void>

  private constructor(client: RawClient) {
    this.#client = client
    this.#work = this.#listen()
  }

  static async open(port: number, ...request: readonly string[]): Promise<Ears> {
    const client = await RawClient.open(port)
    client.send(command(...request))
    await client.read()
    return new Ears(client)
  }

  async #listen(): Promise<void> {
    try {
      while (!this.#isOver) {
        const text = String(await this.#client.read(600_000))
        this.lines.push({ text, atMs: Date.now() })
      }
    } catch {
      // Closed, by us or with the server.
    }
  }

  async close(): Promise<void> {
    this.#isOver = true
    this.#client.close()
    await this.#work
  }
}
