/**
 * Limits that are not configuration, each with its unit and its reason. Bytes unless the name says otherwise.
 * Redis's own limits carry the place in Redis that sets them.
 */
/** Arguments of one request. Redis allows 1,048,576 before 7.0 and INT_MAX after; the older bound keeps offset tables small. */
export const requestArgsMax = 1_048_576
/** One line without its newline: inline request, '*' and '$' headers. Redis: PROTO_INLINE_MAX_SIZE in server.h. */
export const lineBytesMax = 64 * 1024
/** Before AUTH: arguments and bytes of one (CVE-2021-32675; networking.c processMultibulkBuffer). */
export const unauthArgsMax = 10
export const unauthBulkBytesMax = 16_384
/** What one read from a client may bring: libuv is handed a buffer of this size. 64 KiB measured best for P64 (docs/performance.md). */
export const clientReadBytes = 64 * 1024
/** A leftover of an unfinished request up to this size is put back in front of the next read; above it the client owns a buffer. */
export const clientFrontBytes = 64 * 1024
/** A frame above this leaves the shared lane for the bulk lane, so that it does not stand in front of small commands. */
export const sharedFrameBytesMax = 64 * 1024
/** The next read whose last reply was above this goes by the bulk lane, as requests above it do: 64 KiB are half a millisecond at 1 Gbit/s. */
export const largeReplyBytes = 64 * 1024
/**
 * A request that is known to be larger is not collected: it goes upstream as it comes, on a connection of its client's own
 * (src/stream-path.ts). Below, two copies and the shared bulk lane are cheaper than such a connection.
 */
export const streamFromBytes = 256 * 1024
/**
 * A read whose last reply was larger goes over a connection of its client's own, which is not read while the client does not
 * read: on a shared one all of it would gather here. Below, a slow client's share of `limits.output` suffices.
 */
export const ownReplyBytes = 4 * 1024 * 1024
/** Requests that are on their way in pieces at once; each holds some 200 KiB here, and as much in the kernel. Beyond it they are collected. */
export const streamsMax = 512
/** One half of a lane's output arena. Two halves: the kernel has one while the other fills. */
export const arenaHalfBytes = 1024 * 1024
/** A lane writes before the end of the turn when it holds this much (8 to 192 KiB measured alike). */
export const earlyFlushBytes = 64 * 1024
/** Replies of one client up to this size, cut by the end of a read, wait for the rest of their run: up to here a copy costs less than a write. */
export const cutRunBytesMax = 32 * 1024
/** For at most so long, ms: the rest is in the socket, or what the server works on next. */
export const cutRunMs = 10
/** Of an error reply, this much is looked through for names: Redis cuts what it echoes at 128 bytes. */
export const errorTextBytesMax = 512
/** Commands in flight on one lane; power of two, the size of the ring of flags. */
export const laneCommandsMax = 65_536
/** Commands in flight of one client; above it the client's socket is not read. */
export const clientCommandsMax = 10_000
/** Unread output of one client: above soft the client's requests wait; above hard, or soft for longer than a minute, it is closed. */
export const clientOutputSoftBytes = 8 * 1024 * 1024
export const clientOutputHardBytes = 32 * 1024 * 1024
export const clientOutputSoftMs = 60_000
/** Unread output of a client that has not authenticated (CVE-2025-21605). */
export const unauthOutputBytesMax = 1024
/** An unfinished request or silence before AUTH may last this long. */
export const halfFrameMs = 30_000
export const unauthMs = 10_000
/** What a client may call itself or its library: kept for as long as it is connected, and printed for every reader of CLIENT INFO. */
export const clientNameBytesMax = 1024
/** Names of commands and settings are short; a pattern for them above this matches none, rather than cost seconds. */
export const namePatternBytesMax = 1024
/** Our own replies that wait behind a node's, one client; more of them are made when those have gone. */
export const clientLocalBytesMax = 1024 * 1024
/** An ended connection may take this long to close its side once our end has been sent. */
export const lingerMs = 5_000
/** A read whose only obstacle is a mark that is due within this time waits for it rather than travel to the primary. */
export const markWaitMs = 10
/**
 * Writes that session reads are told apart by, of all tenants; 28 bytes each. At 50,000 writes a second a replica that shows
 * them a second later needs fewer; those that find no room hold for all of their tenant's keys.
 */
export const fenceEntries = 65_536
/** A command with more keys than this holds for all of its tenant's keys: looking so many up would cost more than it saves. */
export const fenceKeysMax = 64
/** Replies of one client that wait until the primary has proven to be it: as unread output, which they are. */
export const heldReplyBytesMax = 32 * 1024 * 1024
/** A part of a reply larger than this goes on to the client at once; only its end waits. */
export const heldStreamBytes = 64 * 1024
/** A guard in front of reads, and to spare: it has 14 bytes. */
export const guardBytesMax = 32
/** Units, and bytes, a second that a quota may name; and units at once. In millionths they must stay below 2^53 (quota/bucket.ts). */
export const ratePerSecondMax = 4_000_000_000
/** How long a command waits for its tenant's quota, under `when_exceeded: delay`, before it is refused. */
export const quotaDelayMs = 50
/** How long a command may wait for a primary before it is answered `not executed`. */
export const waitBudgetMs = 1_000
/** A reply's header line, and a line of text up to this size, is kept until it has come whole; longer text passes in pieces. */
export const replyHeaderBytesMax = 16 * 1024
/** A reply that must be rewritten is collected whole up to this size. */
export const collectedReplyBytesMax = 256 * 1024 * 1024
/** Requests above the arena's size are kept whole until they are written; all of them together. */
export const bigRequestBytesMax = 1024 * 1024 * 1024
/**
 * Memory of a leased connection: many may be open at once, most of them blocked and idle. Larger requests and replies pass in
 * pieces; the front room holds an unfinished reply header.
 */
export const leaseArenaHalfBytes = 16 * 1024
export const leaseFrontBytes = 20 * 1024
export const leaseReadBytes = 16 * 1024
/** Commands in flight on one leased connection; a transaction may have more and brings room of its own. Power of two. */
export const leaseCommandsMax = 1024
/** Leased connections of all tenants together; of one: `limits.leases_per_tenant`. A Redis server takes 10,000 connections by default. */
export const leasesMax = 8_000
/** Warm connections kept for a tenant, per node and RESP version, and for how long. */
export const leasesWarmMax = 64
export const leaseIdleMs = 30_000
/** Commands and bytes between MULTI and EXEC of one client. */
export const transactionCommandsMax = 1_000_000
export const transactionBytesMax = 64 * 1024 * 1024
/** A transaction up to this size travels on a shared connection, in one piece; a larger one on a leased one. */
export const sharedTransactionCommandsMax = 512
/** One script or library. Real ones are kilobytes; V8's strings end at half a gigabyte. */
export const scriptBodyBytesMax = 16 * 1024 * 1024
/** What CLIENT LIST answers, and ids that it may be asked for, which Redis lets a client repeat. */
export const clientListBytesMax = 16 * 1024 * 1024
export const clientListIdsMax = 10_000
/** CLIENT TRACKING with its prefixes: it must fit into the arena of a lease, also when it is sent again. */
export const trackingRequestBytesMax = 8 * 1024
/** One message of the server about keys that have changed: with BCAST one may hold all those of a turn of its loop. */
export const pushBytesMax = 64 * 1024 * 1024
/** A channel or pattern that is subscribed to, without its prefix: kept while it is, and sent again after each loss of a node. */
export const channelBytesMax = 8 * 1024
/** A pattern is matched against every message of its tenant. */
export const channelPatternBytesMax = 1024
/** Subscriptions of one client (all may come in one command, which takes some 0.1 s), of one tenant, of all: each costs some 300 bytes. */
export const clientSubscriptionsMax = 16_384
export const tenantSubscriptionsMax = 262_144
export const allSubscriptionsMax = 1_048_576
/** Bytes of their distinct names. */
export const tenantChannelNamesBytesMax = 16 * 1024 * 1024
/** Steps of matching a tenant's patterns against one message, some 10 ms: patterns beyond do not get it, and that is counted. */
export const patternStepsMax = 500_000
/** Clients that are written to in one turn when a message has many receivers. */
export const pushClientsPerTurn = 500
/**
 * Walks over a keyspace (KEYS, DBSIZE, FLUSHDB ...): what one step may cost the server, by what it says itself. Everybody
 * else's commands wait behind a step, so it is short where the next can follow at once (bench/walk.bench.ts); on a far node
 * the way takes longer than the rest that is due, and steps may be larger.
 */
export const stepMsMin = 0.1
export const stepMsMax = 1
/** Where nobody else asks anything: fewer and longer, for waking up twice costs more than a step. */
export const stepMsIdle = 1
/** After a step the server has this many times its cost for others: a walk takes a tenth of it, and half of one that is idle. */
export const walkRestPerCost = 10
export const walkRestPerCostIdle = 1
/** How often a walk asks the server what its steps have cost: a page of some kilobytes, 30 us for the server. */
export const walkCostEveryMs = 250
/** Steps may run ahead of their rest by this much: small keyspaces are walked without a pause (timers are of 1 ms). */
export const walkBurstMs = 4
/** One SCAN of a client looks at this many names at most, about 5 ms of the server at a microsecond each. */
export const scanItemsMax = 5_000
/** Names that one KEYS may return, with 64 bytes for each besides its length; all of them together. */
export const keysBytesMax = 64 * 1024 * 1024
export const keysAllBytesMax = 256 * 1024 * 1024
/** Names that a DBSIZE remembers (a table that shrinks meanwhile shows some twice); above it a few may count double. */
export const dbsizeSeenMax = 500_000
/** Pattern bytes times name bytes that matching one name may cost us: 2^26 is about 50 ms, and no honest pattern comes near. */
export const patternWorkMax = 1 << 26
/** Names in one UNLINK, and their bytes: a batch is freed in the background, but taken out of the table at once. */
export const unlinkNamesMax = 200
export const unlinkBytesMax = 256 * 1024
/** INFO shows a count of keys that is at most this old; below this many keys on the server it is counted anew. */
export const keyCountMs = 60_000
export const keyCountExactMax = 10_000
/** How long INFO waits for a count. */
export const keyCountWaitMs = 1_000
/** PROXY EXPLAIN takes its command's steps nine times, so a command of more arguments is not explained; and what is shown of keys. */
export const explainArgsMax = 128
export const explainKeysMax = 16
export const explainKeyBytesMax = 128
/** MONITOR: clients of one tenant that may watch, what one may leave unread, and how much of a command is shown. */
export const monitorsMax = 8
export const monitorOutputBytesMax = 4 * 1024 * 1024
export const monitorCommandBytesMax = 32 * 1024
/** Entries of a node's SLOWLOG that are looked through for a tenant's own. */
export const slowlogLookMax = 1024
/** Entries of all nodes that an operator is shown. */
export const slowlogShownMax = 256
/**
 * A tenant's scripts that this proxy remembers by sha. Programs have tens of them, up to some 20 KiB (BullMQ); who makes a
 * new one for each call would fill Redis itself, which forgets none before 7.4. One above the first bound runs, but is not
 * remembered: EVALSHA will not find it.
 */
export const scriptBytesMax = 1024 * 1024
export const tenantScriptsMax = 10_000
export const tenantScriptBytesMax = 16 * 1024 * 1024
/** A script above it is not read for tail calls (some ms at most): its errors may name a line that is guessed. */
export const readScriptBytesMax = 32 * 1024
/** So much of a tenant's text is read in all: who makes a new script for each call would hold everybody up, some ms each time. */
export const tenantReadBytesMax = 2 * 1024 * 1024
/** Scripts that a node is known to have; beyond it the list is begun anew, and each is sent once more. */
export const nodeScriptsMax = 100_000
/**
 * Connections on which a primary is asked whether its replicas have what was written (WAIT holds each up): two for each number of
 * replicas that tenants ask for, so that a question need not wait for the end of the last one.
 */
export const waitLanesMax = 2
/** One WAIT asks for at most so long, ms: whoever comes meanwhile may have less time than those whom it was sent for. */
export const waitMsMax = 500
/** And for no less: in vain it is asked again, and a hundred times a second is enough. */
export const waitMsMin = 10
/** Longest `durability.timeout`: a client that waits for longer has long given up. */
export const durableTimeoutMsMax = 60_000
/** Replies of one client that are held until its writes are confirmed: above it no more of its commands are taken. */
export const heldBytesSoft = 1024 * 1024
/**
 * PROXY PAUSE: how long a tenant's commands wait when nothing is said, and at most. Clients give up by then; what they have
 * sent is executed all the same when they are still connected, so a forgotten pause must not be long.
 */
export const pauseMsDefault = 10_000
export const pauseMsMax = 60_000
/** What the proxy keeps for one of them besides its bytes. */
export const heldReplyBytes = 192

/**
 * Of what a lane to the primary has sent, so much stays in its arena to be sent again if the server turns out to be a replica: some
 * 4,000 small writes, a second of 25 MB/s is not. What is older is answered with the server's own refusal.
 */
export const journalBytes = 256 * 1024
/** A flush a turn of the event loop, of which there are at most some thousands a second. */
export const journalFlushesMax = 4096
/** Clients whose refused writes wait for a primary at once. Each keeps its replies and requests. */
export const secondTriesMax = 10_000
/** Replies of one such client that are kept while its last is awaited; above it they are given as they came. */
export const secondTryBytesMax = 256 * 1024
/** And of all of them together: ten thousand that each keep that much would be gigabytes. */
export const secondTriesBytesMax = 64 * 1024 * 1024

/** Of a tenant, as proxy.yaml has it: it stands in front of every key. */
export const prefixBytesMax = 128
/** One line of `tenants_file`: a tenant with some thousands of users. Longer ones are no lines of ours. */
export const tenantLineBytesMax = 1024 * 1024
/** Lines of what operators are shown of tenants and clients: a page for people, made in one turn of the event loop. */
export const rowsShownMax = 1_000

/**
 * `scope: fleet`. Every proxy reads the records of all twice a second: so many limits in one, those first that are used most,
 * and beyond them equal parts; at 100 proxies with full records 3 MB a second.
 */
export const fleetRecordLinesMax = 256
export const fleetRecordBytesMax = 16 * 1024
/** Records that are looked at. */
export const fleetProxiesMax = 1024

/**
 * Counters of workers that have died, kept so that none goes back (workers/aggregate.ts): a page of a hundred tenants has some
 * 4,000, and a series is some 200 bytes. Beyond it tenants' counts are added to those without a label.
 */
export const endedSeriesMax = 100_000

/**
 * The sweep that measures what tenants have (usage/sweep.ts): its share of one core of a replica, where a tenth is promised and a
 * reading may be wrong by a fifth; of the primary, where no replica is configured.
 */
export const sweepShare = 0.08
export const sweepSharePrimary = 0.02
/** What one step may cost the server: everybody else's commands wait behind it. */
export const sweepStepMs = 2
/** Steps may run ahead of their rest by this much time: a keyspace of a thousand keys is looked at at once. */
export const sweepBurstMs = 100
/** Elements of a value that MEMORY USAGE looks at: at first, and of a value that is large or one of few (some 50 us). */
export const sweepElements = 20
export const sweepElementsClosely = 500
export const sweepLargeBytes = 16 * 1024
/** Of tenants with fewer keys each value above the second bound is looked at closely: errors of few do not cancel out. */
export const sweepFewKeys = 1_000
export const sweepFewBytes = 1024
/** Names that a check looks at: some 25 ms of the server, 0.3 s at its pace, and a share of a twentieth is known to 3 %. */
export const checkNames = 20_000
/** Below so many keys on the server a check looks at all of them. */
export const checkWholeKeys = 30_000
/** Checks of tenants that are full or in doubt, at most so often. */
export const checkEveryMs = 500
/** Large keys of a tenant with a quota whose names are kept, to be asked for by name; and the longest such name. */
export const largeKeysKept = 64
export const largeKeyNameBytesMax = 1024
/** Of what a tenant near its limit writes, the key is remembered each so many bytes: a single key that grows is found. */
export const recentKeyEveryBytes = 1024 * 1024
/** How often the primary is asked for its totals while a tenant is near a limit, and at most, while somebody waits for it. */
export const totalsEveryMs = 100
export const totalsGapMs = 5
/** How long a command waits for a look at its tenant's keys, before what may be there is taken to be. */
export const lookWaitMs = 2_000
/** How long a command waits for that answer, before what was written counts without it. */
export const totalsWaitMs = 300

/** Logins in one turn of the event loop: some 50 us each where the tenant is new, and others' commands wait behind them. */
export const loginsPerTurn = 32
/** Connections that have come and are not accepted yet: a turn accepts one. The kernel cuts it to net.core.somaxconn. */
export const listenBacklog = 65_535
/** Worker processes of one proxy: more than any machine that a proxy is given has cores. */
export const workersMax = 64
/** Workers are asked for a sign of life this often; with it come their health and how many clients they have. */
export const workerBeatMs = 1_000
/**
 * One that gives none for so long hangs, and is ended: its clients are lost to it anyway. A turn of the event loop that long is no
 * honest work: collecting the garbage of a full heap, and taking a hundred thousand tenants at once, are seconds.
 */
export const workerHangMs = 20_000
/** Before its first sign of life a worker loads its code, on a machine that may be busy with starting many. */
export const workerFirstBeatMs = 60_000
/** A worker that has ended is started again after the first; each further time within the last takes twice as long, up to it. */
export const workerRestartFirstMs = 100
export const workerRestartLastMs = 30_000
/** One that has lived so long owes nothing for its last end. */
export const workerSteadyMs = 60_000
/** Told to end, a worker may take this long; it says goodbye to clients and to the other proxies, half a second each. */
export const workerStopMs = 5_000
/** Taking a configuration of a hundred thousand tenants over the channel between processes is seconds on a slow machine. */
export const workerTakeMs = 60_000
/** Clients on their way to one worker: few, so that one that is busy does not make those wait whom another could take. */
export const handedInFlightMax = 4
/**
 * A worker that is slow to take its clients is waited for so long, while another would have this many more than it: connections stay
 * for hours, and so does what is uneven. One that takes longer is not held to be fair to.
 */
export const handedFairMs = 250
export const handedFairClients = 2
/** A client that a worker has not taken for so long, though it gives signs of life, never reached it. */
export const handedLostMs = 5_000
/** Accepted and not yet with any worker, all of them: as many as the kernel would keep. Above it connections are closed. */
export const handedWaitingMax = 1024

/**
 * A worker process answers the supervisor, or another worker, within this time, or counts as silent (workers/link.ts): longer than a
 * stall that clients would call one, and short enough for a client that waits for CLIENT LIST.
 */
export const workerAnswerMs = 2_000

/** Limits that one worker speaks of in a round of 250 ms (usage/worker-limits.ts): some 100 KB and a millisecond. */
export const workerLimitsMax = 1_000
