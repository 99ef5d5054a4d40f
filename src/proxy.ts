/**
 * Builds every part from a Config and joins them: start, tick, reload, drain, stop. Nothing here runs per command.
 * ~ a window: timers, the process's own facts.
 */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import type net from 'node:net'
import { Acts } from './admin/acts.ts'
import { answersOf, type OwnAnswers } from './admin/answers.ts'
import { explainByHttp } from './admin/explained.ts'
import { healthOf } from './admin/health.ts'
import { type AdminOptions, AdminServer, type Health } from './admin/http.ts'
import { pauseByHttp, resumeByHttp } from './admin/pause.ts'
import { AllWorkers, type AnswerTo, type Payload, type Question, type Round, roundOfAll } from './admin/questions.ts'
import { Samples } from './admin/samples.ts'
import { Views } from './admin/views.ts'
import { systemClock } from './base/clock.ts'
import { errorText } from './base/errors.ts'
import { leasesMax, rowsShownMax, waitBudgetMs } from './base/limits.ts'
import { type Log, oncePer, type RootLog } from './base/log.ts'
import { garbageCollector, memoryLimitDefault, readMemory } from './base/memory.ts'
import { partOf, type Siblings } from './base/siblings.ts'
import { Slices } from './base/slices.ts'
import type { BuiltinHost, OtherClients } from './builtin/builtin.ts'
import { builtinHostOf } from './builtin/host.ts'
import { Keyspace } from './builtin/keyspace.ts'
import type { OperatorHost } from './builtin/operator.ts'
import { SharedSettings } from './builtin/settings.ts'
import { Slowlog } from './builtin/slowlog.ts'
import { buildBuiltins } from './builtin/table.ts'
import { type WalkHost, Walks } from './builtin/walk.ts'
import { learn, type ServerCommand } from './commands/live.ts'
import { buildCommandTable, type CommandTable } from './commands/lookup.ts'
import { changeText } from './config/changes.ts'
import type { Config, NodeConfig, TenantConfig, UserConfig } from './config/config.ts'
import { redactedRows } from './config/print.ts'
import { type Prepared, Reloader, type ReloadKind, type ReloadOutcome } from './config/reload.ts'
import { type LastReload, lastReloadOf, logReload } from './config/reload-told.ts'
import { RunningHash } from './config/running-hash.ts'
import { Explainer, forTenant } from './explain.ts'
import { Cells } from './metrics/cells.ts'
import { Metrics } from './metrics/registry.ts'
import type { CountsTold } from './quota/worker-counts.ts'
import type { PartsTold } from './quota/worker-shares.ts'
import { askOnce } from './regions/ask-once.ts'
import { SentinelDiscovery } from './regions/discovery.ts'
import { Guards } from './regions/guards.ts'
import { laneTimesOf } from './regions/lane-times.ts'
import type { Node } from './regions/node.ts'
import type { SiblingPages } from './regions/sibling-format.ts'
import { systemTimers } from './regions/timers.ts'
import { RegionTracker } from './regions/tracker.ts'
import { Trails } from './regions/trails.ts'
import { RequestPath, type SiblingWritesParts } from './request-path.ts'
import { FallbackLimit } from './routing/fallback-limit.ts'
import { RunningScripts } from './scripts/running.ts'
import { ScriptKills } from './scripts/script-kills.ts'
import { Scripts } from './scripts/scripts.ts'
import { Accounts, type Renewed } from './session/accounts.ts'
import { Authentication } from './session/authentication.ts'
import { Clients } from './session/clients.ts'
import { Feed } from './session/feed.ts'
import { Listener } from './session/listener.ts'
import { Monitors } from './session/monitor.ts'
import { closeOverdue } from './session/overdue.ts'
import { Overload } from './session/overload.ts'
import { Pauses } from './session/pauses.ts'
import { QuotaUses } from './session/quota-uses.ts'
import { Renewal } from './session/renewal.ts'
import { Session } from './session/session.ts'
import { Subscriptions } from './session/subscriptions.ts'
import { Tokens } from './session/tokens.ts'
import type { TenantState } from './tenant/account.ts'
import type { FeedName } from './tenant/channels.ts'
import { keyPrefixes } from './tenant/databases.ts'
import { Directory } from './tenant/directory.ts'
import { Identity, type UserSource } from './tenant/identity.ts'
import { useHashSeeds } from './tenant/key-hash.ts'
import { TenantUsers } from './upstream/acl.ts'
import { Durability } from './upstream/durability.ts'
import { type Lane, nonceMoved } from './upstream/lane.ts'
import { Leases } from './upstream/leases.ts'
import { Pool } from './upstream/pool.ts'
import { ServiceLanes } from './upstream/service.ts'
import { SubscriptionLink } from './upstream/subscription-link.ts'
import { FleetUsage } from './usage/fleet.ts'
import { isFleetWide, limitIsThere } from './usage/fleet-limits.ts'
import { FleetRecords } from './usage/fleet-records.ts'
import { MemoryUsage, type SweepingWorkers } from './usage/memory-usage.ts'
import { WorkerLimits, type WorkerLimitsHands } from './usage/worker-limits.ts'

export interface ProxyOptions {
  readonly config: Config
  readonly log: Log & Partial<Pick<RootLog, 'setLevel'>>
  readonly version: string
  /** The configuration as it is in its file now, compared with the one that runs; undefined: it is from no file. */
  readonly prepare?: (running: Config) => Promise<Prepared>
  /** It is one worker of several; undefined: it is the whole proxy. */
  readonly machine?: Machine
}

/** What one worker of several asks of the process that looks after all of them, and is told by it. */
export interface Machine {
  readonly siblings: Siblings
  /** By listener of the configuration: the port that all workers have together. */
  readonly ports: readonly number[]
  readonly clientsFrom: 'shared' | 'handed'
  /** Where the workers tell each other of writes (regions/sibling-format.ts), and what they have in common for it. */
  readonly fences: {
    readonly pages: SiblingPages
    readonly seeds: { readonly a: number; readonly b: number; readonly secret: string }
  }
  /** Ids of clients are this one and every `siblings.count`-th after it, so that none is given twice on this machine. */
  readonly firstClientId: number
  /** Asks the other workers. */
  readonly others: Round
  /** Limits that all workers share: what this one wants of them, and has. */
  readonly limits: Pick<WorkerLimitsHands, 'tellWishes' | 'tellConnections'>
  /** Of all workers. */
  reload(by: string, kind: ReloadKind): Promise<ReloadOutcome>
  drain(): void
}

/** Timeouts are looked at this often. */
const tickMs = 50
/** At the end, how long sockets may take to hand their last bytes to the kernel, and clients to close their side. */
const lingerMs = 500
const plus = 0x2b
/** A proxy waits so long at its start, and at its end, for what it has to say to the others about shared limits. */
const fleetPatienceMs = 500

export class RegisProxy {
  /** Ports in the order of config.listeners; filled by start. */
  readonly ports: number[] = []
  adminPort = 0
  readonly tracker: RegionTracker
  /** Where Sentinels name the primary. */
  private readonly discovery: SentinelDiscovery | undefined
  readonly cells: Cells
  readonly pool: Pool
  readonly leases: Leases
  private readonly tenantUsers: TenantUsers
  private readonly scripts: Scripts
  private readonly running = new RunningScripts()
  private readonly scriptKills: ScriptKills
  /** By node: `databases 1` was read there. */
  private readonly hasOneDatabase: boolean[] = []
  private config: Config
  private readonly hash = new RunningHash(() => this.config)
  private readonly prepare: ProxyOptions['prepare']
  private readonly reloader: Reloader | undefined
  /** Of the newest reload, for people. */
  private lastReload: LastReload | undefined
  private readonly log: ProxyOptions['log']
  private readonly limitedLog: Log
  private readonly version: string
  private readonly table: CommandTable
  /** Who is configured; what they need to run is made when they come (accounts). */
  private directory: Directory<UserConfig, TenantConfig>
  private readonly accounts: Accounts
  private readonly authentication: Authentication
  private readonly renewal: Renewal
  /** Made at the first `routing.fallback_limit`; who has a claim is kept. */
  private fallback: FallbackLimit | undefined
  private readonly path: RequestPath
  private readonly explainer: Explainer
  private readonly trails: Trails
  private readonly durability: Durability
  private readonly tokens: Tokens
  private readonly feeds: Readonly<Record<FeedName, Feed>>
  private readonly subscriptions: Subscriptions
  /** The proxy's own questions to nodes, on connections of their own. */
  private readonly service: ServiceLanes
  /** Limits that are shared with other proxies. */
  private readonly fleet: FleetUsage
  /** Limits that are shared with other worker processes of this proxy; undefined: there are none. */
  private readonly workerLimits: WorkerLimits | undefined
  /** The same for what counts and measures tenants' keys. */
  private readonly usageLanes: ServiceLanes
  private readonly memoryUsage: MemoryUsage
  private readonly keyspace: Keyspace
  private readonly slowlog: Slowlog
  private readonly settings: SharedSettings
  private readonly monitors: Monitors
  private readonly pauses: Pauses
  private readonly overload: Overload
  private readonly metrics: Metrics
  private readonly listeners: Listener[]
  private readonly quotaUses: QuotaUses
  private readonly views: Views
  private readonly admin: AdminServer
  private readonly clientsHere: Clients
  /** How many processes share what is promised of all of them. */
  private readonly idStep: number
  private readonly machine: Machine | undefined
  /** Where this is one of several: what operators are shown and do is of all. */
  private readonly allWorkers: AllWorkers | undefined
  private readonly host: BuiltinHost
  private readonly acts: Acts
  private readonly answers: OwnAnswers
  private ticker: NodeJS.Timeout | undefined
  private ticks = 0
  private isListening = false
  private isDraining = false
  private readonly startedAtMs = Date.now()
  private readonly runId = randomBytes(20).toString('hex')

  constructor(options: ProxyOptions) {
    const { config, log } = options
    this.config = config
    this.prepare = options.prepare
    this.machine = options.machine
    // Before anything is hashed.
    if (options.machine !== undefined) useHashSeeds(options.machine.fences.seeds.a, options.machine.fences.seeds.b)
    this.allWorkers = this.machine === undefined ? undefined : new AllWorkers(roundOfAll(this, this.machine.others))
    this.idStep = options.machine?.siblings.count ?? 1
    this.log = log
    this.limitedLog = oncePer(log, 60_000)
    this.version = options.version
    this.table = buildCommandTable()
    this.cells = new Cells({ commandNames: this.table.specs.map((spec) => spec.name) })
    this.cells.configLastReloadSeconds = Date.now() / 1000
    this.directory = new Directory(config)
    this.accounts = new Accounts(config, this.table, this.cells, this.directory)
    this.authentication = new Authentication({
      identity: Identity.of({ users: credentials(this.directory) }),
      failures: this.partOfRate(config.limits.authFailures),
      cells: this.cells,
      limitedLog: this.limitedLog,
      accountOf: (user) => this.accounts.get(user),
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      soon: (run) => void setImmediate(run),
    })
    const addresses = config.regions.flatMap((region) => region.nodes.map((node) => ({ ...node, region: region.name })))
    this.discovery = this.buildDiscovery(addresses)
    this.tracker = new RegionTracker({
      addresses,
      region: config.region,
      authority: this.discovery,
      distances: Object.fromEntries(
        config.regions.flatMap((region) => (region.distanceMs === undefined ? [] : [[region.name, region.distanceMs]])),
      ),
      timeoutMs: config.upstream.timeoutMs,
      log,
    })
    this.pool = new Pool(
      {
        addresses,
        connections: config.upstream.connections,
        idStep: this.idStep,
        timeoutMs: config.upstream.timeoutMs,
        clientName: `regis-${config.region}`,
        log,
        now: systemClock.now,
        durations: (node, isPrimary) => laneTimesOf(this.cells, this.tracker.nodes[node]!, isPrimary),
      },
      {
        laneReady: (lane) => {
          this.log.info(
            { node: addresses[lane.nodeIndex]!.name, resp: lane.resp, primary: lane.isPrimary },
            'upstream connection ready',
          )
          this.askDatabases(lane.nodeIndex)
          this.retryNodes()
        },
        laneLost: (lane, reason) => {
          this.cells
            .node(addresses[lane.nodeIndex]!.region, addresses[lane.nodeIndex]!.name)
            .reconnects.add([lostReason(reason)])
          this.path.strong.laneLost(lane)
          this.tracker.noteLost(this.tracker.nodes[lane.nodeIndex]!)
          this.path.waiting.laneHasRoom(lane)
          this.path.turns.laneLost(lane)
          this.retryNodes()
        },
        hasRoom: (lane) => {
          this.path.secondTries.retry()
          this.path.waiting.laneHasRoom(lane)
        },
        errorReply: (lane, code) => this.onErrorReply(lane, code),
        largeReply: (_, use, hash, size) => this.path.largeReply(use, hash, size),
        refusedWrite: (lane, sink) => this.path.secondTries.begin(lane, sink),
        desync: (lane, why) => this.onDesync(lane, why),
        foreignPrefix: () => {
          this.cells.tripwires.foreignPrefix++
        },
        beforeSend: options.machine === undefined ? undefined : () => this.path.siblingWrites?.log.publish(),
        beforeFlush: (lane) => {
          if (lane.needsCheck) this.path.strong.beforeFlush(lane)
          if (lane.needsTrail) this.trails.beforeFlush(lane)
        },
        afterRead: () => {
          this.path.siblingWrites?.answered()
          this.path.turns.serve()
          this.path.waiting.resumeAll()
        },
      },
    )
    this.scriptKills = this.buildScriptKills()
    this.tenantUsers = this.buildTenantUsers(addresses)
    this.scripts = new Scripts((id) => this.directory.tenant(id), this.table, scriptSecret(config))
    this.leases = this.buildLeases(addresses)
    this.trails = new Trails({
      tracker: this.tracker,
      clock: systemClock,
      timers: systemTimers,
      wantsFlush: (lane) => this.pool.wantsFlush(lane),
    })
    this.durability = this.buildDurability(addresses)
    this.tokens = new Tokens(
      scriptSecret(config) || (options.machine?.fences.seeds.secret ?? ''),
      this.tracker.instance,
    )
    this.feeds = { near: this.buildFeed('near'), primary: this.buildFeed('primary') }
    this.subscriptions = new Subscriptions({
      feeds: this.feeds,
      cells: this.cells.pubsub,
      // A node may have to be found and connected to first.
      waitMs: waitBudgetMs + config.upstream.timeoutMs,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      soon: (run) => void setImmediate(run),
    })
    this.service = this.buildService(addresses, 'service')
    this.usageLanes = this.buildService(addresses, 'usage')
    this.memoryUsage = this.buildMemoryUsage(this.usageLanes)
    const ask: ServiceLanes['ask'] = (node, request, isWrite) => this.service.ask(node, request, isWrite)
    const walks = new Walks(this.walkHost())
    this.keyspace = new Keyspace(walks)
    this.fleet = new FleetUsage(
      randomBytes(8).toString('hex'),
      new FleetRecords({ tracker: this.tracker, log, now: systemClock.now, ask }),
      () => new Slices(),
    )
    this.fleet.isOn = config.tenants.some(
      ({ quota, users }) => isFleetWide(quota) || users.some((user) => isFleetWide(user.quota)),
    )
    this.workerLimits = this.buildWorkerLimits()
    this.slowlog = new Slowlog({ table: this.table, nodes: this.tracker.nodes, now: systemClock.now, ask })
    this.settings = new SharedSettings({
      primary: () => this.tracker.primary?.index,
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      ask,
    })
    this.monitors = new Monitors({
      wallUs: () => Math.floor((performance.timeOrigin + performance.now()) * 1000),
      soon: (run) => void setImmediate(run),
      sessions: () => this.clientsHere.sessions.values(),
    })
    const collect = garbageCollector()
    let loop = performance.eventLoopUtilization()
    this.overload = new Overload(this.part(config.limits.memoryBytes ?? memoryLimitDefault()), {
      now: systemClock.now,
      tickMs,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      soon: (run) => void setImmediate(run),
      read: readMemory,
      collect,
      utilization: () => {
        const now = performance.eventLoopUtilization()
        const { utilization } = performance.eventLoopUtilization(now, loop)
        loop = now
        return utilization
      },
      sessions: () => this.clientsHere.sessions.values(),
      lingering: () => this.clientsHere.lingering,
      work: () => this.cells.tenants,
      tenant: (id) => this.accounts.usedTenant(id),
      resumeSoon: (session) => this.path.resumeSoon(session),
      log,
    })
    this.pauses = new Pauses({
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      sessions: () => this.clientsHere.sessions.values(),
      lanes: () => this.pool.lanes,
      isWalking: (tenant) => walks.isWalking(tenant),
      resumeSoon: (session) => this.path.resumeSoon(session),
    })
    this.clientsHere = new Clients({
      cells: this.cells,
      subscriptions: this.subscriptions,
      monitors: this.monitors,
      fleet: this.fleet,
      workerLimits: this.workerLimits,
      firstId: options.machine?.firstClientId ?? 1,
      idStep: this.idStep,
      accountOf: (user) => this.accounts.get(user),
      defaultUser: () => this.authentication.defaultUser,
      leave: (session) => this.path.leave(session),
      newSession: (id, socket) => new Session(id, socket, this.path, systemClock.now()),
      now: systemClock.now,
      nowUs,
    })
    this.quotaUses = new QuotaUses({
      connectionsOf: (user) => this.clientsHere.ofUser(user),
      leasesOf: (tenant) => this.leases.heldBy(tenant),
      memoryOf: (tenant) => this.memoryUsage.usedBy(tenant),
      nowUs,
    })
    this.acts = new Acts({ clients: this.clientsHere, accounts: this.accounts, pauses: this.pauses, log })
    this.views = this.buildViews()
    this.host = this.buildHost()
    this.path = new RequestPath({
      table: this.table,
      builtins: buildBuiltins(this.table, this.machine !== undefined),
      host: this.host,
      pool: this.pool,
      leases: this.leases,
      tracker: this.tracker,
      scripts: this.scripts,
      running: this.running,
      scriptMs: config.limits.scriptMs,
      fallbackLimit: this.fallbackLimit(),
      cells: this.cells,
      log,
      region: config.region,
      maxRequestBytes: config.limits.maxRequestBytes,
      timeoutMs: config.upstream.timeoutMs,
      maxOutputBytes: this.part(config.limits.outputBytes),
      isParanoid: process.env['REGIS_PARANOID'] === '1',
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms),
      primaryRefused: (lane, code) => this.onErrorReply(lane, code),
      sessionClosed: (session, reason) => this.clientsHere.closed(session, reason),
      findSession: (tenant, id) => {
        const session = this.clientsHere.sessions.get(id)
        return session?.account?.tenant?.id === tenant ? session : undefined
      },
      monitors: this.monitors,
      durability: this.durability,
      pauses: this.pauses,
      overload: this.overload,
      memoryUsage: this.memoryUsage,
      siblingWrites: this.siblingWrites(),
      guards: new Guards({ nodes: this.tracker.nodes, wentBack: (node) => this.tracker.noteWentBack(node) }),
    })
    this.explainer = new Explainer({
      path: this.path,
      table: this.table,
      tracker: this.tracker,
      now: systemClock.now,
    })
    // Before anybody else: what follows a change is told apart from what was before it.
    this.tracker.onChange(() => this.durability.changed())
    this.tracker.onChange(() => this.onRegionsChanged())
    this.tracker.onDeposed((node) => this.onDeposed(node))
    this.tracker.onCommands((commands, node) => this.learn(commands, node.address.name))
    this.tracker.onShown(() => {
      if (this.path.waiting.hasNodeWaiters) this.path.waiting.expire()
    })
    this.metrics = new Metrics({
      cells: this.cells,
      build: { version: options.version, region: config.region },
      tenantLabel: () => this.config.metrics.tenantLabel,
      tenants: () => ({ count: this.directory.tenants.length, ids: () => this.directory.ids() }),
      openFiles,
      samples: new Samples({
        tracker: this.tracker,
        discovery: this.discovery,
        pool: this.pool,
        durability: this.durability,
        pauses: this.pauses,
        overload: this.overload,
        fleet: this.fleet,
        memoryUsage: this.memoryUsage,
        quotaUses: this.quotaUses,
        now: systemClock.now,
        regions: () => this.config.regions,
        usedTenant: (id) => this.accounts.usedTenant(id),
      }),
    })
    this.answers = this.buildAnswers()
    this.listeners = config.listeners.map((listener, index) => this.buildListener(listener, index))
    this.admin = this.buildAdmin()
    this.renewal = new Renewal(this.table, {
      accountOf: (user) => this.accounts.get(user),
      defaultAccount: () => this.clientsHere.defaultAccount(),
      login: (session, account) => this.clientsHere.login(session, account),
      unblock: (session) => void this.path.unblock(session, true),
      retryQuota: (session) => this.path.retryQuota(session),
    })
    this.reloader = this.buildReloader()
  }

  /** What other workers of this machine are told of writes, and told by them. */
  private siblingWrites(): SiblingWritesParts | undefined {
    const { machine } = this
    if (machine === undefined || machine.siblings.count === 1) return undefined
    return {
      pages: machine.fences.pages,
      incarnation: machine.siblings.incarnation,
      failed: (error) => {
        // Nothing that is answered from now on could be seen by the others in time; of one that is gone they expect nothing.
        this.log.fatal({ error: String(error) }, 'the other workers cannot be told of writes: ending')
        process.exit(70)
      },
    }
  }

  private buildDiscovery(nodes: readonly (NodeConfig & { region: string })[]): SentinelDiscovery | undefined {
    const { discovery, upstream } = this.config
    if (discovery === undefined) return undefined
    return new SentinelDiscovery({
      nodes,
      sentinels: discovery.sentinels.map((sentinel) => ({ ...sentinel, region: '' })),
      master: discovery.master,
      timeoutMs: upstream.timeoutMs,
      log: this.log,
      clock: systemClock,
    })
  }

  private buildService(addresses: readonly NodeConfig[], what: string): ServiceLanes {
    const { config, log } = this
    return new ServiceLanes({
      addresses,
      timeoutMs: config.upstream.timeoutMs,
      clientName: `regis-${config.region}-${what}`,
      log,
      now: systemClock.now,
      lost: (node) => this.pool.lostOf(node),
      ready: () => this.retryNodes(),
      desync: (node, why) => {
        this.cells.tripwires.desync++
        this.log.error({ node: addresses[node]!.name, why }, 'desync: upstream connection destroyed')
      },
    })
  }

  private buildWorkerLimits(): WorkerLimits | undefined {
    const { machine } = this
    if (machine === undefined) return undefined
    return new WorkerLimits({
      workers: machine.siblings.count,
      nowUs,
      leasesOf: (tenant) => this.leases.heldBy(tenant),
      connectionsOf: (name) => {
        const [tenant = '', user] = name.split('/')
        return user === undefined ? this.clientsHere.ofTenant(tenant) : (this.clientsHere.ofUser(user) ?? 0)
      },
      tellWishes: (wishes) => machine.limits.tellWishes(wishes),
      tellConnections: (counts) => machine.limits.tellConnections(counts),
    })
  }

  /** Told by the supervisor: this process's parts of limits that all workers share, and connections that the others have. */
  takeParts(told: PartsTold): void {
    this.workerLimits?.take(told)
  }

  takeConnections(told: CountsTold): void {
    this.workerLimits?.takeConnections(told)
  }

  private buildMemoryUsage(lanes: ServiceLanes): MemoryUsage {
    const { config, tracker } = this
    const usage = new MemoryUsage({
      tenants: this.directory.tenants,
      sweep: config.sweep,
      nodes: tracker.nodes,
      log: this.log,
      lanes,
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      random: Math.random,
      primary: () => tracker.primary,
      readOrder: () => tracker.readOrder,
      wantMark: () => tracker.marks.wantWithin(tracker.marks.gapMsNow),
      workers: this.sweepingWorkers(),
    })
    this.accounts.onLimits = (tenant) => usage.attach(tenant)
    return usage
  }

  /** The first of the workers that run sweeps for all. */
  private sweepingWorkers(): SweepingWorkers | undefined {
    if (this.machine === undefined) return undefined
    const { siblings, others } = this.machine
    const from = (number: number): string => `${siblings.incarnation}/${number}`
    return {
      isFirst: () => siblings.others().every(({ index }) => index > siblings.index),
      mark: async (number) => void (await others.ask('sweepMark', from(number))),
      found: (figures) => void others.ask('sweepFound', { from: from(figures.number), figures }),
      want: (tenants) => void others.ask('sweepWanted', tenants),
    }
  }

  private buildTenantUsers(addresses: readonly NodeConfig[]): TenantUsers {
    return new TenantUsers({
      table: this.table,
      tenant: (id) => {
        const tenant = this.directory.tenant(id)
        return tenant === undefined
          ? undefined
          : { ...tenant, keyPrefixes: keyPrefixes(tenant.prefix, tenant.databases) }
      },
      password: (node) => addresses[node]!.password ?? '',
      version: (node) => this.tracker.nodes[node]!.version,
      hasOneDatabase: (node) => this.hasOneDatabase[node] === true,
      now: systemClock.now,
      refused: (node, code) =>
        this.log.warn(
          { node: addresses[node]!.name, code },
          "the server does not let us create users: tenants' scripts are denied, what needs a connection of its own runs as the proxy's user",
        ),
    })
  }

  /** With one database COPY cannot leave it, in scripts neither: then a tenant's user may have it. */
  private askDatabases(node: number): void {
    this.pool.askShared(node, ['CONFIG', 'GET', 'databases'], (reply) => {
      if (reply !== undefined) this.hasOneDatabase[node] = /\r\n\$1\r\n1\r\n$/.test(reply.toString('latin1', 0, 128))
    })
  }

  private buildLeases(addresses: readonly NodeConfig[]): Leases {
    const { config, log } = this
    return new Leases(
      {
        addresses,
        pool: this.pool,
        timeoutMs: config.upstream.timeoutMs,
        clientName: `regis-${config.region}`,
        mostFor: (tenant) => {
          const most = this.accounts.usedTenant(tenant)?.leasesMost ?? Number.POSITIVE_INFINITY
          return most === Number.POSITIVE_INFINITY ? this.part(this.config.limits.leasesPerTenant) : most
        },
        most: this.part(leasesMax),
        log,
        now: systemClock.now,
        durations: (node, isPrimary) => laneTimesOf(this.cells, this.tracker.nodes[node]!, isPrimary),
        login: (tenant, node, runId) =>
          config.upstream.acl === 'off' ? undefined : this.tenantUsers.login(tenant, node, runId),
        loginRefused: (tenant, node, command, code) => this.tenantUsers.loginRefused(tenant, node, command, code),
      },
      {
        ready: (lease, holder) => this.path.tracking.ready(lease, holder),
        lost: (lease, holder, reason) => {
          if (reason.includes('refused: -BUSY')) this.path.leased.noteBusy(lease.key.nodeIndex)
          this.path.waiting.laneHasRoom(lease.lane)
          if (holder !== undefined) this.path.tracking.lost(lease, holder)
        },
        push: (lease, holder, push) => this.path.tracking.push(lease, holder, push),
        largeReply: (holder, hash, size) => {
          if (holder instanceof Session) this.path.largeReplyOnLease(holder, hash, size)
        },
        settled: () => this.path.unsettled.settle(),
        wantsFlush: (lane) => this.pool.wantsFlush(lane),
        hasRoom: (lane) => this.path.waiting.laneHasRoom(lane),
        errorReply: (lane, code) => this.onErrorReply(lane, code),
        desync: (lane, why) => this.onDesync(lane, why),
        foreignPrefix: () => {
          this.cells.tripwires.foreignPrefix++
        },
        afterRead: () => this.path.waiting.resumeAll(),
      },
    )
  }

  private buildDurability(addresses: readonly NodeConfig[]): Durability {
    const { config, tracker } = this
    return new Durability({
      addresses,
      counts: config.tenants.flatMap(({ durability }) => (durability === undefined ? [] : [durability.replicas])),
      timeoutMs: config.upstream.timeoutMs,
      clientName: `regis-${config.region}-wait`,
      channel: `regis:wait:${tracker.instance}`,
      log: this.log,
      limitedLog: this.limitedLog,
      primary: () => {
        const { primary } = tracker
        return primary === undefined
          ? undefined
          : { nodeIndex: primary.index, replId: primary.replId, rttMs: primary.rttMs }
      },
      now: systemClock.now,
      soon: (run) => void setImmediate(run),
      desync: (node, why) => {
        this.cells.tripwires.desync++
        this.log.error({ node: addresses[node]!.name, why }, 'desync: upstream connection destroyed')
      },
    })
  }

  private onDesync(lane: Lane, why: string): void {
    this.cells.tripwires.desync++
    if (why === nonceMoved) this.cells.tripwires.slotMismatch++
    const node = this.tracker.nodes[lane.nodeIndex]!.address.name
    this.log.error({ node, why }, 'desync: upstream connection destroyed')
  }

  /** Of a bound that holds for the machine: what this process has of it. */
  private part(bound: number): number {
    return partOf(bound, this.idStep)
  }

  private partOfRate(rate: { readonly count: number; readonly perMs: number }): { count: number; perMs: number } {
    return { ...rate, count: this.part(rate.count) }
  }

  /** A client that another process has accepted at the n-th listener. */
  takeClient(listener: number, handle: unknown): void {
    this.listeners[listener]!.take(handle)
  }

  get clients(): number {
    return this.clientsHere.sessions.size
  }

  /** Above all ids of clients that were given. */
  get nextClientId(): number {
    return this.clientsHere.nextId
  }

  /** Resolves when clients are accepted. Nodes that are away do not stop it: they are tried again for ever. */
  async start(): Promise<void> {
    this.pool.start()
    await this.tracker.start()
    if (this.config.upstream.strict) this.refuseMissingNodes()
    await this.meetFleet()
    if (this.machine !== undefined) await this.acts.takeOverPauses(this.machine.others)
    for (const listener of this.listeners) this.ports.push(await listener.start())
    if (this.machine === undefined) this.adminPort = await this.admin.start()
    this.ticker = setInterval(() => this.tick(), tickMs)
    this.isListening = true
    this.log.info(
      {
        listeners: this.config.listeners.map((listener, i) => `${listener.host}:${this.ports[i]}`),
        ...(this.machine === undefined ? { admin: `${this.config.admin.host}:${this.adminPort}` } : {}),
        primary: this.tracker.primary?.address.name ?? 'none',
      },
      'listening',
    )
  }

  /** So that the first client finds this proxy's part of shared limits. Where the others cannot be asked it is a small one. */
  private async meetFleet(): Promise<void> {
    const endsAtMs = systemClock.now() + fleetPatienceMs
    while (this.fleet.isOn && !this.fleet.isSeen && systemClock.now() < endsAtMs) {
      this.fleet.tick(systemClock.now())
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** The others need not wait until its silence is taken for its end. */
  private async leaveFleet(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, fleetPatienceMs)
      this.fleet.leave(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** `upstream.strict`: a proxy that cannot see all its nodes at start is configured wrongly. */
  private refuseMissingNodes(): void {
    const missing = this.tracker.nodes.filter((node) => !node.isUp)
    if (missing.length === 0) return
    throw new Error(`upstream.strict: ${missing.map((node) => `${node.address.name} (${node.downReason})`).join(', ')}`)
  }

  /**
   * No new connections; each client is closed after its last reply. Resolves when all are gone, or after the
   * configured time.
   */
  async drain(): Promise<void> {
    if (!this.isDraining) {
      this.isDraining = true
      for (const listener of this.listeners) listener.stop()
      this.log.info({ clients: this.clientsHere.sessions.size }, 'draining')
      // One turn, so that what clients sent before the signal is read and answered.
      await new Promise((resolve) => setTimeout(resolve, 10))
      for (const session of this.clientsHere.sessions.values()) session.drain()
      this.pauses.refuse()
    }
    const endsAtMs = this.path.now() + this.config.shutdown.drainMs
    if (this.clientsHere.sessions.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.config.shutdown.drainMs)
        this.clientsHere.onEmpty = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    if (this.clientsHere.sessions.size > 0)
      this.log.warn({ clients: this.clientsHere.sessions.size }, 'clients left after shutdown.drain')
    // Slow readers have what is left of the time. Everybody has a moment to close: a client that still talks when the
    // process ends is reset, and a reset takes with it what the kernel has not delivered.
    const lingersUntilMs = this.path.now() + lingerMs
    const isAwaited = (socket: net.Socket): boolean => !socket.writableFinished || this.path.now() < lingersUntilMs
    while (this.path.now() < endsAtMs && [...this.clientsHere.lingering].some(isAwaited)) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.ticker)
    for (const listener of this.listeners) listener.stop()
    for (const session of this.clientsHere.sessions.values()) session.destroy('shutdown')
    // The kernel delivers what it has been given; only sockets that still hold bytes need a moment.
    for (
      let waitedMs = 0;
      waitedMs < lingerMs && [...this.clientsHere.lingering].some((socket) => !socket.writableFinished);
      waitedMs += 20
    ) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    for (const socket of this.clientsHere.lingering) socket.destroy()
    await this.leaveFleet()
    this.leases.stop()
    this.feeds.near.stop()
    this.feeds.primary.stop()
    this.pool.stop()
    this.service.stop()
    this.memoryUsage.stop()
    this.usageLanes.stop()
    this.durability.stop()
    await this.tracker.stop()
    await this.admin.stop()
    this.isListening = false
  }

  // ---- reload ----

  /** It has started and is not ending. */
  get isServing(): boolean {
    return this.isListening && !this.isDraining
  }

  /** Takes what is in the file now, whole or not at all. `by`: who asks, for the log. */
  async reload(by: string, kind: ReloadKind = 'reload'): Promise<ReloadOutcome> {
    if (this.reloader !== undefined && this.isServing) return this.reloader.run(by, kind)
    const why = this.reloader === undefined ? 'it was not started from a file' : 'it is ending'
    this.log.warn({ by }, `no reload of this proxy: ${why}`)
    const error = { severity: 'error', file: '-', message: `no reload of this proxy: ${why}` } as const
    return { ok: false, changes: [], errors: [error], warnings: [] }
  }

  private buildReloader(): Reloader | undefined {
    const { prepare } = this
    if (prepare === undefined) return undefined
    return new Reloader({
      prepare: () => prepare(this.config),
      apply: (config) => this.apply(config),
      done: (outcome, by) => this.noteReload(outcome, by),
      // Half of a configuration: the process must not go on.
      broken: (error) =>
        setImmediate(() => {
          throw error
        }),
    })
  }

  /**
   * Another configuration, in this turn. Nobody's command is half done: what is in flight keeps the prefix, the place and the
   * promise with which it was sent. What can fail comes first, and what can be made beforehand, in slices.
   */
  private async apply(config: Config): Promise<() => () => void> {
    const slices = new Slices()
    const directory = await Directory.inSlices(config, slices)
    const identity = await Identity.inSlices({ users: credentials(directory) }, slices)
    return () => {
      const renewed = this.accounts.replace(config, directory, Math.floor(this.path.now() * 1000))
      return () => this.take(config, directory, identity, renewed)
    }
  }

  private take(
    config: Config,
    directory: Directory<UserConfig, TenantConfig>,
    identity: Identity,
    renewed: Renewed,
  ): void {
    this.config = config
    this.directory = directory
    this.memoryUsage.setTenants(directory.tenants)
    this.authentication.renew(identity, this.partOfRate(config.limits.authFailures))
    this.admin.setToken(config.admin.token)
    this.log.setLevel?.(config.logging.level)
    this.scripts.renew()
    for (const { node, tenant, request } of this.tenantUsers.renew()) {
      this.pool.askShared(node, request, (reply) => {
        if (reply?.[0] !== plus) this.tenantUsers.forget(tenant, node)
      })
    }
    this.path.setLimits({
      scriptMs: config.limits.scriptMs,
      fallbackLimit: this.fallbackLimit(),
      maxRequestBytes: config.limits.maxRequestBytes,
      maxOutputBytes: this.part(config.limits.outputBytes),
    })
    this.path.rightsChanged()
    const expelled = this.renewal.renew(this.clientsHere.sessions.values(), renewed)
    const isThere = limitIsThere(
      (user, tenant) => this.accounts.isUserOf(user, tenant),
      (id) => directory.tenant(id) !== undefined,
    )
    this.fleet.keep(isThere)
    this.workerLimits?.renew(isThere)
    this.clientsHere.shareQuotasOfAll()
    if (expelled > 0) this.log.info({ clients: expelled }, 'clients closed: their user, or a right they use, is gone')
  }

  private noteReload(outcome: ReloadOutcome, by: string): void {
    const { cells } = this
    cells.configReloads.add([outcome.ok ? 'ok' : 'refused'])
    cells.configLastReloadOk = outcome.ok
    if (outcome.ok) cells.configLastReloadSeconds = Date.now() / 1000
    this.lastReload = lastReloadOf(outcome, by, new Date())
    // Of several workers the supervisor says it, once.
    if (this.machine === undefined) logReload(this.log, outcome, by)
  }

  private fallbackLimit(): FallbackLimit | undefined {
    const rate = this.config.routing.fallbackLimit
    if (rate === undefined || rate.count === 0) return undefined
    const { count, perMs } = this.partOfRate(rate)
    if (this.fallback === undefined) this.fallback = new FallbackLimit(count, perMs)
    else this.fallback.setRate(count, perMs)
    return this.fallback
  }

  /** An exception that nobody caught: the process must not go on. For the tripwire only. */
  noteUncaught(): void {
    this.cells.tripwires.uncaught++
  }

  /** Subscriptions at the nearest readable node, or at the primary. */
  private buildFeed(name: FeedName): Feed {
    const { config, log, tracker } = this
    return new Feed({
      name,
      tracker,
      log,
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      openLink: (node, events) =>
        new SubscriptionLink({
          ...events,
          address: node.address,
          clientName: `regis-${config.region}-pubsub`,
          timeoutMs: config.upstream.timeoutMs,
        }),
      onMessage: (message) => this.subscriptions.take(message),
      afterRead: () => this.subscriptions.flush(),
      onGap: (reason) => this.cells.pubsub.gaps.add([reason]),
    })
  }

  // ---- clients ----

  private buildListener(listener: Config['listeners'][number], index: number): Listener {
    const { machine } = this
    return new Listener({
      ...listener,
      ...(machine === undefined ? {} : { port: machine.ports[index]!, from: machine.clientsFrom }),
      slab: this.pool.slab.bytes,
      readAt: this.pool.slab.readAt,
      log: this.limitedLog,
      mayAccept: () => {
        const isFull = this.clientsHere.sockets >= this.part(this.config.limits.maxClients) || this.isDraining
        if (!isFull && this.overload.mayAccept) return true
        this.cells.connectionsOpened.add([`${listener.host}:${listener.port}`, isFull ? 'limit' : 'overload'])
        return false
      },
      refusal: `-${errorText('MAX_CLIENTS')}\r\n`,
      accept: (socket, remote, user) => this.accept(socket, remote, user, `${listener.host}:${listener.port}`),
      noteTlsError: () => this.cells.connectionsOpened.add([`${listener.host}:${listener.port}`, 'tls']),
    })
  }

  private accept(socket: net.Socket, remote: string, certificateUser: string | undefined, listener: string): Session {
    return this.clientsHere.accept(socket, remote, certificateUser, listener)
  }

  private buildHost(): BuiltinHost {
    const { config, machine } = this
    return builtinHostOf({
      region: config.region,
      version: this.version,
      runId: this.runId,
      startedAtMs: this.startedAtMs,
      table: this.table,
      cells: this.cells,
      accounts: this.accounts,
      authentication: this.authentication,
      clients: this.clientsHere,
      subscriptions: this.subscriptions,
      monitors: this.monitors,
      quotaUses: this.quotaUses,
      tracker: this.tracker,
      pool: this.pool,
      durability: this.durability,
      scripts: this.scripts,
      tokens: this.tokens,
      keyspace: this.keyspace,
      slowlog: this.slowlog,
      settings: this.settings,
      operator: this.buildOperator(),
      others: machine === undefined ? undefined : clientsOfOthers(machine.others),
      now: systemClock.now,
      wallMs: Date.now,
      limits: () => this.config.limits,
      versionChanged: (session) => this.path.versionChanged(session),
      unblock: (session, withError) => this.path.unblock(session, withError),
      killScript: (tenant) => this.killScriptOf(tenant),
      explain: (session, args) => forTenant(this.explainer.of(session, args)),
    })
  }

  /** Of several workers each asks all. */
  private buildOperator(): OperatorHost {
    const { machine, allWorkers, acts } = this
    const doers = allWorkers ?? acts
    return {
      show: (what) => (allWorkers === undefined ? this.views.show(what) : allWorkers.view(what)),
      kill: (id) => doers.kill(id),
      pause: (id, ms) => doers.pause(id, ms),
      resume: (id) => doers.resume(id),
      reload: async () => {
        const { ok, changes, errors } = await (machine ?? this).reload('PROXY RELOAD', 'reload')
        if (ok) return { ok, lines: changes.map(changeText) }
        return { ok, lines: errors.map(({ file, line, message }) => `${file}:${line ?? 0}: ${message}`) }
      },
      // After the reply to who asks.
      drain: () => setImmediate(() => (machine === undefined ? this.beginDrain() : machine.drain())),
    }
  }

  /** What the supervisor and the other workers ask of this one. */
  answer<K extends Question>(what: K, payload: Payload<K>): AnswerTo<K> | Promise<AnswerTo<K>> {
    return this.answers[what](payload)
  }

  private buildAnswers(): OwnAnswers {
    return answersOf({
      builtins: this.host,
      cells: this.cells,
      accounts: this.accounts,
      quotaUses: this.quotaUses,
      views: this.views,
      acts: this.acts,
      pauses: this.pauses,
      metrics: this.metrics,
      memoryUsage: this.memoryUsage,
      health: () => this.health(),
      slowlog: () => this.slowlog.all(this.config.tenants),
      explain: (user, command, level) => this.explainFor(user, command, level),
    })
  }

  private walkHost(): WalkHost {
    const { tracker, cells } = this
    return {
      now: systemClock.now,
      after: (ms, run) => void setTimeout(run, ms).unref(),
      nodes: tracker.nodes,
      primary: () => tracker.primary,
      mayWrite: (node) => tracker.primary?.index === node && !this.pool.hasUnsettled(node),
      ask: (node, request, isWrite) => this.service.ask(node, request, isWrite),
      runId: (node) => this.service.runId(node),
      readNode: (session) => this.path.nodeForKeyspace(session),
      mayRead: (session, node) => this.path.mayTellKeyspace(session, node),
      wantMark: () => {
        const { marks } = tracker
        marks.wantWithin(marks.gapMsNow)
        return marks.nextSeq
      },
      noteRead: (session, node, incarnation) => session.noteRead(tracker.nodes[node]!, incarnation),
      noteWrite: (tenant) => this.path.writeFences.wideWrite(tenant),
      uncertain: (tenant, node) => {
        cells.uncertain++
        this.path.unsettled.add(tenant, this.service.lane(node))
      },
      flushed: (tenant) => this.onFlushed(tenant),
      foreign: (tenant) => {
        cells.tripwires.foreignPrefix++
        this.log.fatal({ tenant: tenant.id }, 'a name without its prefix was found in a walk')
      },
      counted: (kind, isOk) => cells.walks.add([kind, isOk ? 'ok' : 'failed']),
      refused: (node, command, code) =>
        this.limitedLog.warn({ node: tracker.nodes[node]!.address.name, command, code }, 'a node refuses the proxy'),
    }
  }

  /** All keys of a tenant are gone: who caches them is told once. */
  private onFlushed(tenant: TenantState): void {
    this.log.info({ tenant: tenant.id }, 'all keys of a tenant were deleted')
    this.path.flushed(tenant.id)
  }

  // ---- nodes ----

  private onErrorReply(lane: Lane, code: string): void {
    const node = this.tracker.nodes[lane.nodeIndex]!
    // What a script of a tenant's may return at will is only a hint.
    if (code === 'READONLY' && lane.isLeased) this.tracker.noteLost(node)
    else if (code === 'READONLY') {
      lane.isPrimary = false
      this.tracker.noteReadOnly(node)
    } else if (code === 'LOADING' || code === 'MASTERDOWN') this.tracker.noteLoading(node)
    else if (code === 'MOVED' || code === 'ASK') {
      this.limitedLog.error({ node: node.address.name }, 'a node redirects: cluster mode is not supported')
      setImmediate(() => lane.destroy('redirection')) // its replies are being taken on this very stack
    }
  }

  /** The primary's own table of commands, laid over ours. */
  private learn(commands: readonly ServerCommand[], node: string): void {
    const learned = learn(this.table, commands)
    this.accounts.learn()
    this.path.rightsChanged()
    const { missing, unknown, unfit, arity, flags } = learned
    const counts = { missing: missing.length, unknown: unknown.length, arity: arity.length, flags: flags.length }
    this.log.info({ node, commands: commands.length, ...counts }, 'commands of the primary')
    if (unfit.length > 0) this.log.warn({ node, unfit }, 'commands refused: the server looks for their keys elsewhere')
    if (flags.length > 0) this.log.warn({ node, flags }, 'commands that are a write on one side only')
    this.log.debug({ node, missing, unknown, arity }, 'commands of the primary that differ from our facts')
  }

  private primaryName = ''

  private onRegionsChanged(): void {
    const { primary } = this.tracker
    const name = primary?.address.name ?? ''
    if (name !== this.primaryName) {
      if (this.primaryName !== '' && name !== '') {
        const before = this.tracker.nodes.find((node) => node.address.name === this.primaryName)
        this.cells.primaryChanges.add([before?.address.region ?? 'none', primary!.address.region])
      }
      if (name !== '') this.primaryName = name
    }
    for (const lane of this.pool.lanes) {
      // A connection's role is what ROLE said on it; when the tracker learns otherwise the connection is asked anew.
      const isPrimary = lane.nodeIndex === primary?.index
      if (lane.isReady && isPrimary !== lane.isPrimary && this.tracker.nodes[lane.nodeIndex]!.role !== 'unknown') {
        if (isPrimary) this.pool.askRole(lane, () => this.retryNodes())
        else if (this.tracker.nodes[lane.nodeIndex]!.role === 'replica') lane.isPrimary = false
      }
    }
    // Of a replica those that were to a primary: what is read from it as a replica goes on.
    for (const node of this.tracker.nodes) {
      if (!node.isUp) this.leases.destroyNode(node.index, 'the node is down')
      else if (node.role === 'replica') this.leases.destroyNode(node.index, 'not the primary', true)
    }
    this.retryNodes()
    this.settleFeeds()
  }

  /** A node, a lane or a role has changed: whoever waits for one tries again, those first who have been refused. */
  private retryNodes(): void {
    this.path.unsettled.settle()
    this.path.secondTries.retry()
    this.path.waiting.retryNodes()
  }

  /**
   * Another primary was named, so nothing that was meant for a primary may reach the old one from here on, whatever it says
   * of itself. Its connections are reset: what was sent is of unknown fate, what was not was not executed.
   */
  private onDeposed(node: Node): void {
    const reason = 'another primary is named'
    this.log.warn({ node: node.address.name }, 'another primary is named, connections to the old one are reset')
    this.pool.destroyNode(node.index, reason)
    this.leases.destroyNode(node.index, reason)
    this.service.lane(node.index).destroy(reason)
    this.usageLanes.lane(node.index).destroy(reason)
  }

  private settleFeeds(): void {
    this.feeds.near.settle()
    this.feeds.primary.settle()
  }

  // ---- time ----

  private tick(): void {
    const nowMs = this.path.now()
    this.overload.tick(nowMs)
    this.cells.marksSent = this.tracker.marks.nextSeq - 1
    this.pool.checkTimeouts(nowMs, this.config.upstream.timeoutMs)
    this.leases.check(nowMs, this.config.upstream.timeoutMs)
    this.path.fences.settle()
    this.path.siblingWrites?.tick()
    this.service.checkTimeouts(nowMs, this.config.upstream.timeoutMs)
    this.usageLanes.checkTimeouts(nowMs, this.config.upstream.timeoutMs)
    this.memoryUsage.tick(nowMs)
    this.durability.check(nowMs)
    this.fleet.tick(nowMs)
    this.workerLimits?.tick(nowMs)
    if (this.path.waiting.hasNodeWaiters) this.path.waiting.expire()
    for (const tenant of this.pauses.expire())
      this.log.warn({ tenant: tenant.id }, 'a pause was over and ended by itself')
    if (++this.ticks % 10 !== 0) return
    this.scriptKills.killOverdue(nowMs, this.config.limits.scriptMs)
    this.pool.checkNonces()
    this.settleFeeds()
    const { idleTimeoutMs, outputBytes } = this.config.limits
    closeOverdue(this.clientsHere, { idleTimeoutMs, outputBytes: this.part(outputBytes) }, nowMs)
  }

  private buildScriptKills(): ScriptKills {
    return new ScriptKills({
      running: this.running,
      log: this.log,
      limitedLog: this.limitedLog,
      ask: (node, command, patienceMs) =>
        askOnce(
          this.tracker.nodes[node]!.address,
          `regis-${this.config.region}`,
          command,
          this.config.upstream.timeoutMs + patienceMs,
        ),
    })
  }

  private killScriptOf(tenant: string | undefined): Promise<string | undefined> {
    const { primary, nodes } = this.tracker
    // The tracker may have given the node up because of that very script.
    return this.scriptKills.killOf(tenant, primary === undefined ? nodes.map((node) => node.index) : [primary.index])
  }

  // ---- operators ----

  private buildAdmin(): AdminServer {
    const { config } = this
    return new AdminServer({
      host: config.admin.host,
      port: config.admin.port,
      ...(config.admin.token === undefined ? {} : { token: config.admin.token }),
      log: this.limitedLog,
      metrics: this.metrics,
      health: () => this.health(),
      status: () => this.views.status(),
      regions: () => this.views.regions(),
      tenants: () => this.views.tenants(),
      clients: () => this.views.clients(),
      rules: () => this.views.rules(),
      config: () => this.views.config(),
      stats: () => this.views.stats(),
      slowlog: () => this.slowlog.all(this.config.tenants),
      explain: (user, command, level) => this.explainFor(user, command, level),
      drain: () => this.beginDrain(),
      pause: (tenant, ms) => pauseByHttp(tenant, ms, (id, time) => this.acts.pause(id, time)),
      resume: (tenant) => resumeByHttp(this.acts.resume(tenant)),
      ...(this.prepare === undefined
        ? {}
        : { reload: (isDryRun: boolean) => this.reload('POST /-/reload', isDryRun ? 'dry run' : 'reload') }),
    })
  }

  private beginDrain(): void {
    this.drain().catch((error: unknown) => this.log.error({ error: String(error) }, 'drain failed'))
  }

  health(): Health {
    const { isListening, isDraining } = this
    const { nodes, primary, isSplit } = this.tracker
    return healthOf({
      isListening,
      isDraining,
      hasMemory: this.overload.mayAccept,
      nodes,
      primary,
      isSplit,
      trouble: this.discovery?.trouble,
    })
  }

  private explainFor(user: string, command: string, level: string | undefined): ReturnType<AdminOptions['explain']> {
    return explainByHttp(this.explainer, this.accounts.get(user), command, level)
  }

  private buildViews(): Views {
    return new Views({
      version: this.version,
      cells: this.cells,
      tracker: this.tracker,
      discovery: this.discovery,
      pool: this.pool,
      overload: this.overload,
      pauses: this.pauses,
      memoryUsage: this.memoryUsage,
      quotas: this.quotaUses,
      now: systemClock.now,
      uptimeMs: () => Date.now() - this.startedAtMs,
      isDraining: () => this.isDraining,
      sessions: () => this.clientsHere.sessions,
      config: () => this.config,
      redacted: () => redactedRows(this.config, rowsShownMax),
      configHash: () => this.hash.get(),
      lastReload: () => this.lastReload,
      directory: () => this.directory,
      usedTenant: (id) => this.accounts.usedTenant(id),
    })
  }
}

/** Sockets and files of this process; undefined where the kernel does not count them (Linux does from 6.2 on). */
function openFiles(): number | undefined {
  return statSync('/proc/self/fd', { throwIfNoEntry: false })?.size || undefined
}

function clientsOfOthers(others: Round): OtherClients {
  return { ask: async (what, payload) => (await others.ask(what, payload)).answers }
}

/** The monotonic clock as quotas count it. */
const nowUs = (): number => Math.floor(systemClock.now() * 1000)

/** What no tenant knows: the password that all proxies have for the servers. */
function scriptSecret(config: Config): string {
  const nodes = config.regions.flatMap((region) => region.nodes)
  return config.upstream.password ?? nodes.find((node) => node.password !== undefined)?.password ?? ''
}

function lostReason(reason: string): string {
  if (reason.startsWith('no reply') || reason.startsWith('no answer')) return 'timeout'
  if (reason === 'closed by the server') return 'closed'
  if (reason === 'stopped') return 'stopped'
  return reason.includes('refused:') ? 'login' : reason.startsWith('a ') ? 'protocol' : 'error'
}

/** The directory's users as those who may log in. */
function credentials(directory: Directory<UserConfig, TenantConfig>): UserSource {
  return {
    count: directory.userCount,
    numberOf: (name) => directory.userNumber(name),
    at: (number) => {
      const { tenant, user } = directory.userAt(number)
      return {
        kind: tenant === undefined ? 'operator' : 'tenant',
        ...(tenant === undefined ? {} : { tenantId: tenant.id }),
        user: user.name,
        passwords: user.passwords,
        passwordHashes: user.passwordHashes,
        nopass: user.nopass,
      }
    },
  }
}
