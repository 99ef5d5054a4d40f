/**
 * Failovers by Sentinels under load, judged from outside: three servers, three Sentinels, one proxy, clients that stay
 * connected, and one failover after the other in that one set. The primary is killed, and started again as a replica; or
 * stopped and continued later (the split-brain rig: it wakes up and believes to be the primary still); or it lives, and the
 * Sentinels are told to take another (`ordered`): it goes on taking writes, which are lost, until they demote it.
 *
 * What comes back of each is a report: lost acknowledged writes are counted, never hidden. Each round writes keys of its
 * own, which are judged and then removed, so a rig can go on for hours. Used by an integration test and by a soak.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { AttributedClient, checkLogs, excuseCounts } from '../kit/attributed-load.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { masterName, type SentinelSet, startSentinels } from '../kit/sentinels.ts'
import { type StartedProxy, startProxy } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { Ears } from './ears.ts'

export type Fault = 'SIGKILL' | 'SIGSTOP' | 'ordered'
export const faults: readonly Fault[] = ['SIGKILL', 'SIGSTOP', 'ordered']

export const downAfterMs = 1_000

export interface FailoverReport {
  readonly fault: Fault
  /** From the fault to the first acknowledged write. */
  readonly resumedMs: number
  /** From the fault to the first Sentinel's announcement. The proxy may know earlier: it asks them. */
  readonly announcedMs: number
  readonly answered: number
  readonly acknowledged: number
  /** Acknowledged writes that the new primary does not have. */
  readonly lost: number
  /** Reads of own keys that showed such a loss. */
  readonly lossesSeen: number
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
  /**
   * Switches that the Sentinels announced. More than one: they took the new primary to be down too. They first ping it a
   * second after the switch, when it has been silent for `down-after` already; with votes that are left over that can be enough.
   */
  readonly switches: number
  /** What the Sentinels said meanwhile, for whoever wonders why. */
  readonly events: readonly string[]
}

export interface RigOptions {
  readonly seed: number
  /** Of each client between two pipelines. 15 clients send pipelines of 1 to 16 commands. */
  readonly pauseMs: number
  /** Of the proxy; the primary begins in eu. */
  readonly region?: 'eu' | 'us' | 'ap'
  /** How often Sentinels ping; default: their own, a second. They notice a stopped primary by pings only. */
  readonly pingMs?: number
  /** A checkout with a planted bug. */
  readonly root?: string
}

/** A write may still be on its way to the old primary for so long after the switch is known. */
const lateMs = 250
const timeoutMs = 1_000
const patienceMs = 60_000
const perTenant = 5
const tenants = [
  { name: 't0', level: 'session', readsOwnWrites: true },
  { name: 't1', level: 'eventual', readsOwnWrites: false },
  { name: 't2', level: 'strong', readsOwnWrites: true },
] as const
const writerUser = 't1-app'

const switchLine = 'another primary is named'
const tripwires = ['regis_desync_total', 'regis_foreign_prefix_total', 'regis_write_resent_after_unknown_total']
const changes = 'regis_primary_changes_total'

/** Remembers when it sent what. */
class StampedClient extends AttributedClient {
  readonly sentAtMs = new Map<string, number>()

  protected override send(client: RawClient, bytes: Buffer): void {
    const now = Date.now()
    for (const id of idsIn(bytes.toString('latin1'))) this.sentAtMs.set(id, now)
    super.send(client, bytes)
  }

  override become(id: number): void {
    super.become(id)
    this.sentAtMs.clear()
  }
}

/** `tenant client seq` of every id and value in a text. */
function idsIn(text: string): string[] {
  return [...text.matchAll(/\b(t\d+)[-|](\d+)[-|](\d+)(?=\||\b)/g)].map(
    ([, tenant, id, seq]) => `${tenant} ${id} ${seq}`,
  )
}

export class FailoverRig {
  readonly #set: SentinelSet
  readonly #proxy: StartedProxy
  readonly #clients: readonly StampedClient[]
  readonly #sentinelEars: readonly Ears[]
  readonly #pauseMs: number
  #writer: RawClient | undefined
  #rounds = 0

  private constructor(
    set: SentinelSet,
    proxy: StartedProxy,
    clients: readonly StampedClient[],
    ears: readonly Ears[],
    pauseMs: number,
  ) {
    this.#set = set
    this.#proxy = proxy
    this.#clients = clients
    this.#sentinelEars = ears
    this.#pauseMs = pauseMs
  }

  static async start(options: RigOptions): Promise<FailoverRig> {
    const set = await startSentinels({ regions: ['eu', 'us', 'ap'], downAfterMs })
    const proxy = await startProxy(
      {
        ...set.config(options.region ?? 'us'),
        upstream: { timeout: `${timeoutMs}ms` },
        tenants: Object.fromEntries(
          tenants.map(({ name, level }) => [
            name,
            { consistency: level, users: { [`${name}-app`]: { password: 'demo' } } },
          ]),
        ),
      },
      { env: { REGIS_PARANOID: '1' }, ...(options.root === undefined ? {} : { root: options.root }) },
    )
    const clients = tenants.flatMap(({ name, readsOwnWrites }, t) =>
      Array.from({ length: perTenant }, (_, id) => {
        const common = { port: proxy.port, tenant: name, user: `${name}-app`, neighbours: perTenant, readsOwnWrites }
        const mine = { id, resp: id % 2 === 0 ? 2 : 3, seed: options.seed * 7919 + t * 1000 + id } as const
        return new StampedClient({ ...common, ...mine, answerMsMax: timeoutMs + 2_000, mayLose: true })
      }),
    )
    const { pingMs } = options
    if (pingMs !== undefined)
      for (const one of set.sentinels) expect(await one.call('SENTINEL', 'DEBUG', 'ping-period', pingMs)).toBe('OK')
    const ears = await Promise.all(set.sentinels.map(({ port }) => Ears.open(port, 'PSUBSCRIBE', '*')))
    return new FailoverRig(set, proxy, clients, ears, options.pauseMs)
  }

  /** One failover. When it resolves the set is whole again, and the next one may come. */
  async failover(fault: Fault): Promise<FailoverReport> {
    const round = this.#rounds++
    const [set, proxy, clients] = [this.#set, this.#proxy, this.#clients]
    for (const [i, client] of clients.entries()) client.become(round * perTenant + (i % perTenant))
    for (const { lines } of this.#sentinelEars) lines.length = 0
    const changesBefore = (await metric(proxy)).sum(changes)
    const old = set.node((await set.named())!)
    const monitor = await Ears.open(old.port, 'MONITOR')
    const load = Promise.all(clients.map((client) => client.run(1_000_000, this.#pauseMs, true)))
    await sleep(700)

    const [faultAt, faultAtMs] = [performance.now(), Date.now()]
    if (fault === 'ordered') expect(await set.sentinels[0]!.call('SENTINEL', 'FAILOVER', masterName)).toBe('OK')
    else await old.kill(fault)
    // Where the old one lives, its acknowledgements do not count.
    const knowsAtMs = () => switchKnownAtMs(proxy.proxy.log(), faultAtMs)
    if (fault === 'ordered') await waitFor(() => knowsAtMs() !== undefined, patienceMs, 5)
    await waitFor(() => this.#writes(), patienceMs, 5)
    const resumedMs = performance.now() - faultAt
    const knows = (await waitFor(knowsAtMs, patienceMs))!
    await sleep(500)
    await this.#heal(fault, old)
    await sleep(200)
    for (const client of clients) client.stop()
    await load
    await monitor.close()

    // The proxy hears what we hear, and says when it knew by other means.
    const events = this.#sentinelEars.flatMap(({ lines }) => lines).sort((a, b) => a.atMs - b.atMs)
    const announcedAtMs = events.find(({ text }) => text.includes('+switch-master'))?.atMs ?? Number.NaN
    const knownAtMs = Number.isNaN(announcedAtMs) ? knows : Math.min(knows, announcedAtMs)
    const switches = new Set(events.map(({ text }) => /\+switch-master,.*/.exec(text)?.[0]).filter((one) => one))
    // Where the Sentinels take the old one again, by a fault that they found themselves, it may run writes again.
    const isOldAgain = ({ text }: { text: string }): boolean =>
      text.includes(`+selected-slave,slave 127.0.0.1:${old.port} `)
    const lateUntilMs = events.find(isOldAgain)?.atMs ?? Number.POSITIVE_INFINITY
    const isLate = (line: string): boolean => {
      const atMs = Number.parseFloat(line) * 1000
      return atMs > knownAtMs + lateMs && atMs < lateUntilMs
    }
    const ghosts = monitor.lines
      .map(({ text }) => text)
      .filter((line) => /"(SET|MSET|DEL|RPUSH)" "t\d+:/i.test(line) && isLate(line))
    const sentAtMs = new Map(clients.flatMap((client) => [...client.sentAtMs]))
    const late =
      fault === 'ordered'
        ? ghosts
        : ghosts.filter((line) => idsIn(line).some((id) => (sentAtMs.get(id) ?? 0) > knownAtMs + lateMs))
    const now = set.node((await set.named())!)
    const page = await metric(proxy)
    const wrong = [
      ...clients.flatMap((client) => client.wrong),
      ...(await checkLogs(clients, now, { mayLose: true })),
      ...tripwires.filter((name) => page.sum(name) !== 0),
      ...(now === old && switches.size < 2 ? ['the old primary is the primary'] : []),
      ...(page.sum(changes) === changesBefore ? ['no change of the primary was counted'] : []),
    ]
    const acknowledged = clients.flatMap((client) => [...client.pushed].filter(([, isAcked]) => isAcked))
    const lost = await countLost(clients, now)
    wrong.push(...(await this.#clear(now, round)))
    return {
      fault,
      resumedMs,
      announcedMs: announcedAtMs - faultAtMs,
      answered: clients.reduce((sum, client) => sum + client.answered, 0),
      acknowledged: acknowledged.length,
      lost,
      lossesSeen: clients.reduce((sum, client) => sum + client.lossesSeen, 0),
      wrong,
      ghostWrites: ghosts.length,
      lateWrites: late.map((line) => line.slice(0, 120)),
      excuses: excuseCounts(clients),
      longestMs: Math.max(...clients.map((client) => client.longestMs)),
      switches: switches.size,
      events: events.map(({ text, atMs }) => `${atMs - faultAtMs} ms: ${text}`),
    }
  }

  /** Is a write acknowledged now? */
  async #writes(): Promise<boolean> {
    if (this.#writer === undefined || this.#writer.isClosed) {
      this.#writer?.close()
      this.#writer = await RawClient.open(this.#proxy.port)
      expect(await this.#writer.call('AUTH', writerUser, 'demo')).toBe('OK')
    }
    return (await this.#writer.call('SET', 'resumed', 'x')) === 'OK'
  }

  /** The old primary comes back, as a replica in the end, under load; the Sentinels have seen it. */
  async #heal(fault: Fault, old: RedisServer): Promise<void> {
    const set = this.#set
    await set.hurry(true)
    if (fault === 'SIGKILL') {
      // As its supervisor starts it: with the configuration that Sentinel has left.
      await waitFor(async () => set.node((await set.named())!) !== old, patienceMs)
      await old.restart(['--replicaof', '127.0.0.1', String(set.node((await set.named())!).port)])
    } else if (fault === 'SIGSTOP') await old.kill('SIGCONT')
    // Until the Sentinels have told it, some seconds later, it is a primary in its own eyes.
    await waitFor(async () => (await old.info('role').catch(() => '')) === 'slave', patienceMs)
    await old.untilInSync(patienceMs)
    await set.untilKnown(patienceMs)
    await set.hurry(false)
  }

  /** What is there of another round was written late. Removed with all of this one, on the replicas too. */
  async #clear(primary: RedisServer, round: number): Promise<string[]> {
    const keys = (await primary.call('KEYS', '*')) as string[]
    const roundOf = (key: string): number => {
      const id = /^t\d+:(?:c|log:)(\d+)(?::\d+)?$/.exec(key)?.[1]
      return id === undefined ? Number.NaN : Math.floor(Number(id) / perTenant)
    }
    const strange = keys.filter((key) => roundOf(key) !== round && key !== 't1:resumed')
    if (keys.length > 0) await primary.call('UNLINK', ...keys)
    const have = await primary.call('WAIT', this.#set.servers.size - 1, patienceMs)
    return [
      ...strange.map((key) => `${key} is there in round ${round}`),
      ...(have === this.#set.servers.size - 1 ? [] : [`${have} replicas have followed`]),
    ]
  }
}

export function told(report: FailoverReport): string {
  const { fault, resumedMs, announcedMs, answered, acknowledged, lost, ghostWrites, lateWrites, wrong } = report
  return [
    `failover after ${fault}: writes resumed after ${Math.round(resumedMs)} ms (down-after ${downAfterMs}, announced after ${announcedMs})`,
    `${answered} answered, ${lost} of ${acknowledged} acknowledged pushes lost, ${wrong.length} wrong`,
    `the old primary ran ${ghostWrites} writes later than ${lateMs} ms after the switch was known, ${lateWrites.length} of them sent after that`,
    `longest answer ${Math.round(report.longestMs)} ms, excuses ${JSON.stringify(report.excuses)}`,
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

/** When the proxy says that it knew of a switch after that time, by the clock of this machine. */
function switchKnownAtMs(log: string, sinceMs: number): number | undefined {
  return log
    .split('\n')
    .filter((line) => line.includes(switchLine))
    .map((line) => Date.parse((JSON.parse(line) as { time: string }).time))
    .find((atMs) => atMs >= sinceMs)
}
