/**
 * What Regis does with each command, by hand and with reasons. Data only: no branch depends on a name elsewhere.
 *
 * Closed: a command that no row names is refused, whatever its flags say, because keys that we cannot find cannot be
 * prefixed. What the rows leave out is derived from Redis's own flags in derive.ts: `write` goes to the primary, a
 * keyed `readonly` command may go to a replica, a keyless one needs `node: 'nearest'` for that.
 */

import type { FactRow } from './facts-render.ts'
import { newerPolicy } from './policy-newer.ts'
import type { Answer, Blocks, FinderName, InMulti, NumkeysRule, ReplyKind, Via } from './spec.ts'

/** Commands that are treated alike. `commands` holds names separated by white space. */
export interface PolicyGroup {
  readonly family: string
  readonly answer: Answer
  readonly why?: string
  /** Overrides the flags: any node will do, or only the primary tells the truth. */
  readonly node?: 'nearest' | 'primary'
  /** Needs a connection of the client's own; see leased-path.ts. */
  readonly via?: Via
  /** Overrides what follows from `answer`: ok for a server's, local for the proxy's. What is denied stays denied. */
  readonly inMulti?: InMulti
  /** Answered by the proxy out of a tenant's data: an operator, who has none, may not run it. Or for operators only. */
  readonly of?: 'tenant' | 'operator'
  readonly commands: string
}

/** What one command has that its group has not. */
export interface Particular {
  readonly finder?: FinderName
  /** Argument at which the options begin (geostore). */
  readonly optionsAt?: number
  readonly numkeys?: NumkeysRule
  readonly reply?: ReplyKind
  readonly inMulti?: InMulti
  readonly blocks?: Blocks
  /** Its first argument is a channel: prefixed as a key is, though no key. */
  readonly channel?: true
  /** No write by its flags, but it cannot be taken back: a lost one is uncertain, and read-only users have no use for it. */
  readonly hasEffect?: true
}

const lastSeconds: Blocks = { timeout: -1, unit: 's' }
const firstSeconds: Blocks = { timeout: 1, unit: 's' }

export const policy: readonly PolicyGroup[] = [
  {
    family: 'strings',
    answer: 'upstream',
    commands: `append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx psetex
      set setex setnx setrange strlen substr`,
  },
  { family: 'bitmaps', answer: 'upstream', commands: 'bitcount bitfield bitfield_ro bitop bitpos getbit setbit' },
  {
    family: 'hashes',
    answer: 'upstream',
    commands: `hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hset hsetnx hstrlen
      hvals`,
  },
  {
    family: 'lists',
    answer: 'upstream',
    commands: `lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpoplpush rpush
      rpushx`,
  },
  {
    family: 'sets',
    answer: 'upstream',
    commands: `sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop
      srandmember srem sunion sunionstore`,
  },
  {
    family: 'sorted sets',
    answer: 'upstream',
    commands: `zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax
      zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank
      zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscore zunion zunionstore`,
  },
  {
    family: 'scans inside one key',
    answer: 'upstream',
    node: 'primary',
    why: 'the cursor counts buckets in the hash order of one server, and each server draws its own hash seed; on another node a scan would miss members, so all pages come from the primary',
    commands: 'hscan sscan zscan',
  },
  {
    family: 'streams',
    answer: 'upstream',
    commands: `xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy
      xgroup|setid xinfo|consumers xinfo|groups xinfo|stream xlen xpending xrange xread xreadgroup xrevrange xsetid
      xtrim`,
  },
  {
    family: 'geo',
    answer: 'upstream',
    commands: `geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch
      geosearchstore`,
  },
  { family: 'HyperLogLog', answer: 'upstream', commands: 'pfadd pfcount pfmerge' },
  {
    family: 'any key',
    answer: 'upstream',
    commands: `copy del dump exists expire expireat expiretime memory|usage object|encoding object|refcount persist
      pexpire pexpireat pexpiretime pttl rename renamenx sort sort_ro ttl type unlink`,
  },
  {
    family: 'use of a key',
    answer: 'upstream',
    node: 'primary',
    why: "the time and frequency of use are each server's own: only the primary's decide what it evicts",
    commands: 'object|freq object|idletime touch',
  },
  {
    family: 'help texts and facts without keys',
    answer: 'upstream',
    node: 'nearest',
    why: 'holds no key, no address and no fact of another tenant',
    commands: `command|help function|help lolwut memory|help object|help script|help time xgroup|help xinfo|help`,
  },
  {
    family: 'the command table',
    answer: 'upstream',
    node: 'nearest',
    why: 'the server describes its commands; those that a tenant may not call are left out of the reply',
    commands: 'command command|docs command|info',
  },
  {
    family: 'the command table, computed',
    answer: 'proxy',
    why: "counts what a tenant may call; keys are found in the client's own names",
    commands: 'command|count command|getkeys command|getkeysandflags command|list',
  },
  {
    family: 'this connection',
    answer: 'proxy',
    why: 'the state of a client connection lives in the proxy',
    commands: `auth hello reset quit ping echo select readonly readwrite client|capa client|getname client|id client|info
      client|no-evict client|no-touch client|reply client|setinfo client|setname acl|whoami proxy|help proxy|whoami
      proxy|after proxy|consistency proxy|token`,
  },
  {
    family: 'what the proxy knows and decides',
    answer: 'proxy',
    of: 'tenant',
    inMulti: 'denied',
    why: 'where a command would go now, and why; between MULTI and EXEC nothing is chosen',
    commands: 'proxy|explain',
  },
  {
    family: "the proxy's operation",
    answer: 'proxy',
    of: 'operator',
    inMulti: 'denied',
    why: 'for operators; to a tenant it does not exist',
    commands: 'proxy|drain proxy|kill proxy|pause proxy|reload proxy|resume proxy|show',
  },
  {
    family: "connections of the tenant's own",
    answer: 'proxy',
    why: "the server knows the proxy's connections, not the tenant's",
    commands: 'client|kill client|list client|unblock',
  },
  {
    family: 'facts of the server, as a tenant sees them',
    answer: 'proxy',
    inMulti: 'denied',
    why: "the server's own answer holds addresses and other tenants' numbers",
    commands: 'config|get info',
  },
  {
    family: 'facts of the server that are always the same',
    answer: 'proxy',
    why: "the server's own answer holds addresses, or the doings of other tenants",
    commands: `latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset module|list
      role`,
  },
  {
    family: 'help texts of commands that are partly refused',
    answer: 'proxy',
    why: 'the words of Redis 7.0; they name subcommands that are refused here',
    commands: 'acl|help client|help config|help latency|help module|help slowlog|help',
  },
  {
    family: 'the keyspace as a whole',
    answer: 'proxy',
    of: 'tenant',
    inMulti: 'denied', // many commands to the server, so nothing that EXEC could do in one step
    why: "a server would answer for all tenants at once; the proxy walks over the keyspace in short steps and shows the tenant's names",
    commands: 'dbsize flushall flushdb keys randomkey scan',
  },
  {
    family: "the tenant's own traffic",
    answer: 'proxy',
    of: 'tenant',
    inMulti: 'denied',
    why: "the server would show all tenants'; MONITOR is of this proxy, SLOWLOG of all nodes",
    commands: 'monitor slowlog|get slowlog|len slowlog|reset',
  },
  {
    family: 'words and categories',
    answer: 'proxy',
    why: 'needs no server; categories without what is refused',
    commands: 'acl|cat acl|genpass',
  },
  {
    family: 'transactions',
    answer: 'upstream',
    via: 'transaction',
    why: 'queued by Regis and sent in one piece at EXEC; WATCH takes an upstream connection of its own',
    commands: 'discard exec multi unwatch watch',
  },
  {
    family: 'blocking',
    answer: 'upstream',
    via: 'blocking',
    why: 'takes an upstream connection of its own until it is answered',
    commands: 'blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait',
  },
  {
    family: 'subscriptions',
    answer: 'proxy',
    why: 'one connection to a node carries the subscriptions of all clients; each message is handed to its own tenant, with the prefix taken off',
    commands: 'psubscribe punsubscribe ssubscribe subscribe sunsubscribe unsubscribe',
  },
  {
    family: 'facts about subscriptions',
    answer: 'proxy',
    why: 'the server would count the subscriptions of proxies, and name the channels of all tenants; these are the own clients of this proxy',
    commands: `pubsub|channels pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub`,
  },
  {
    family: 'messages',
    answer: 'upstream',
    node: 'primary',
    why: 'published on the primary a message reaches the subscribers of every region, behind the writes before it; the number in the reply is that of the receivers at this proxy',
    commands: 'publish spublish',
  },
  {
    family: 'scripts',
    answer: 'upstream',
    via: 'script',
    why: "where the tenant's `scripts` is not off; runs on a connection of the tenant's own Redis user, since a script can name any key",
    commands: `eval eval_ro evalsha evalsha_ro fcall fcall_ro function|delete function|list function|load script|load`,
  },
  {
    family: "scripts, the tenant's own list",
    answer: 'proxy',
    why: "the server has one list of scripts and libraries for all; these concern the tenant's part of it",
    commands: 'function|flush function|kill function|stats script|exists script|flush script|kill',
  },
  {
    family: 'scripts, beyond one tenant',
    answer: 'denied',
    why: 'the debugger stops the server for all; a dump holds names as they are upstream, and a crafted one brings code that no check of ours has seen',
    commands: 'function|dump function|restore script|debug',
  },
  {
    family: 'client-side caching',
    answer: 'upstream',
    via: 'tracking',
    inMulti: 'denied', // it changes the connection that EXEC runs on
    why: "the client's keys are tracked on a connection of its own to the primary; prefixes are put on and names stripped",
    commands: 'client|caching client|tracking',
  },
  {
    family: 'client-side caching, told',
    answer: 'proxy',
    why: 'ids and prefixes as the client knows them',
    commands: 'client|getredir client|trackinginfo',
  },
  {
    family: 'holding up everybody',
    answer: 'denied',
    why: 'stops or slows every tenant of the server',
    commands: 'client|pause client|unpause debug failover shutdown',
  },
  {
    family: 'what other tenants do',
    answer: 'denied',
    why: "shows other tenants' keys, values or load",
    commands: 'memory|doctor memory|malloc-stats memory|stats',
  },
  {
    family: 'between databases',
    answer: 'upstream',
    why: "the tenant's databases are prefixes: sent as RENAMENX from one to the other",
    commands: 'move',
  },
  {
    family: 'whole databases',
    answer: 'denied',
    why: "the tenant's databases are prefixes: exchanging two would rename every key in both",
    commands: 'swapdb',
  },
  {
    family: 'keys elsewhere',
    answer: 'denied',
    why: 'reaches a server beyond the tenant',
    commands: 'migrate',
  },
  {
    family: 'crafted payloads',
    answer: 'denied',
    why: 'loads a serialized value: a crafted one has broken whole servers',
    commands: 'restore restore-asking',
  },
  {
    family: 'users and passwords',
    answer: 'denied',
    why: "the server's users are the proxy's business; a tenant's are in proxy.yaml",
    commands: `acl|deluser acl|dryrun acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users`,
  },
  {
    family: 'administration',
    answer: 'denied',
    why: 'changes or inspects the server that all tenants share',
    commands: `bgrewriteaof bgsave config|resetstat config|rewrite config|set lastsave memory|purge module|load
      module|loadex module|unload pfdebug pfselftest replicaof save slaveof`,
  },
  {
    family: 'between servers',
    answer: 'denied',
    why: 'belongs to replication between servers',
    commands: 'psync replconf sync',
  },
  {
    family: 'Redis Cluster',
    answer: 'proxy',
    why: 'to a client Regis is one server, not a cluster, and says so in the words of one',
    commands: `asking cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|count-failure-reports
      cluster|countkeysinslot cluster|delslots cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget
      cluster|getkeysinslot cluster|help cluster|info cluster|keyslot cluster|links cluster|meet cluster|myid
      cluster|nodes cluster|replicas cluster|replicate cluster|reset cluster|saveconfig cluster|set-config-epoch
      cluster|setslot cluster|shards cluster|slaves cluster|slots`,
  },
  ...newerPolicy,
]

export const particulars: Readonly<Record<string, Particular>> = {
  command: { reply: 'commandAll' },
  'command|docs': { reply: 'commandDocs' },
  'command|info': { reply: 'commandInfo' },
  copy: { finder: 'copy' },
  move: { finder: 'move', reply: 'moved' },
  georadius: { finder: 'geostore', optionsAt: 6 },
  georadiusbymember: { finder: 'geostore', optionsAt: 5 },
  lmpop: { numkeys: 'positive', reply: 'firstElement' },
  zmpop: { numkeys: 'positive', reply: 'firstElement' },
  blmpop: { numkeys: 'positive', reply: 'firstElement', blocks: firstSeconds },
  bzmpop: { numkeys: 'positive', reply: 'firstElement', blocks: firstSeconds },
  blpop: { reply: 'firstElement', blocks: lastSeconds },
  brpop: { reply: 'firstElement', blocks: lastSeconds },
  bzpopmin: { reply: 'firstElement', blocks: lastSeconds },
  bzpopmax: { reply: 'firstElement', blocks: lastSeconds },
  blmove: { blocks: lastSeconds },
  brpoplpush: { blocks: lastSeconds },
  wait: { blocks: { timeout: 2, unit: 'ms' }, inMulti: 'ok' }, // in EXEC the server answers at once
  // Not queued (server.c processCommand): what ends, spoils or leaves the transaction.
  discard: { inMulti: 'now' },
  exec: { inMulti: 'now' },
  multi: { inMulti: 'now' },
  quit: { inMulti: 'now' },
  reset: { inMulti: 'now' },
  watch: { inMulti: 'now' },
  // Redis would change the login, the reply shapes, the silence or the subscriptions in the middle of EXEC's reply.
  auth: { inMulti: 'denied' },
  hello: { inMulti: 'denied' },
  'client|reply': { inMulti: 'denied' },
  subscribe: { inMulti: 'denied' },
  psubscribe: { inMulti: 'denied' },
  ssubscribe: { inMulti: 'denied' },
  unsubscribe: { inMulti: 'denied' },
  punsubscribe: { inMulti: 'denied' },
  sunsubscribe: { inMulti: 'denied' },
  'client|unblock': { inMulti: 'denied' },
  monitor: { inMulti: 'denied' },
  // Their answers take time, and EXEC's has no place for that.
  'function|load': { inMulti: 'denied' }, // runs the library's code, whose error could put bytes into EXEC's reply
  'function|flush': { inMulti: 'denied' },
  'function|kill': { inMulti: 'denied' },
  'function|stats': { inMulti: 'denied' },
  'script|kill': { inMulti: 'denied' },
  sintercard: { numkeys: 'positiveStrict' },
  sdiffcard: { numkeys: 'positiveStrict' },
  sunioncard: { numkeys: 'positiveStrict' },
  msetex: { numkeys: 'msetex' },
  blmovem: { blocks: { timeout: 5, unit: 's' } },
  waitaof: { blocks: { timeout: 3, unit: 'ms' }, inMulti: 'ok' },
  eval: { numkeys: 'script' },
  eval_ro: { numkeys: 'script' },
  evalsha: { numkeys: 'script' },
  evalsha_ro: { numkeys: 'script' },
  fcall: { numkeys: 'function' },
  fcall_ro: { numkeys: 'function' },
  publish: { channel: true, hasEffect: true, reply: 'receivers' },
  spublish: { channel: true, hasEffect: true, reply: 'receivers' },
  sort: { finder: 'sort' },
  sort_ro: { finder: 'sort' },
  xread: { finder: 'streams', reply: 'streams', blocks: { timeout: 'block', unit: 'ms' } },
  xreadgroup: { finder: 'streams', reply: 'streams', blocks: { timeout: 'block', unit: 'ms' } },
  xautoclaim: { reply: 'errorNames' },
  xclaim: { reply: 'errorNames' },
  xpending: { reply: 'errorNames' },
  'xgroup|createconsumer': { reply: 'errorNames' },
  'xgroup|delconsumer': { reply: 'errorNames' },
  'xgroup|setid': { reply: 'errorNames' },
  'xinfo|consumers': { reply: 'errorNames' },
}

export function particularOf(name: string): Particular {
  return Object.hasOwn(particulars, name) ? (particulars[name] ?? {}) : {}
}

/**
 * Refused to a tenant with a database of its own on the servers, though others may call them. There its keys have no
 * prefix, so what is told from others' by a prefix everywhere else would be everybody's:
 *
 *   the keyspace as a whole   walks go through database 0, and would find, or delete, all tenants' keys
 *   client-side caching       the server's invalidations do not say of which database a key is
 *   scripts                   SELECT, MOVE and COPY in Lua leave the database unless the tenant's Redis user has lost them
 */
export const closedInOwnDatabase: readonly string[] = words(`dbsize flushall flushdb keys randomkey scan
  client|caching client|getredir client|tracking client|trackinginfo
  eval eval_ro evalsha evalsha_ro fcall fcall_ro function script`)

function words(text: string): string[] {
  return text.split(/\s+/)
}

/** Commands that Redis does not have. Arity as COMMAND counts it. */
export const ours: readonly FactRow[] = [
  { name: 'proxy', arity: -2, flags: 'loading stale fast', categories: 'connection fast' },
  { name: 'proxy|after', arity: 3, flags: 'loading stale fast', categories: 'connection fast' },
  { name: 'proxy|consistency', arity: -2, flags: 'loading stale fast', categories: 'connection fast' },
  { name: 'proxy|drain', arity: 2, flags: 'admin loading stale', categories: 'admin slow dangerous' },
  { name: 'proxy|explain', arity: -3, flags: 'loading stale fast', categories: 'connection fast' },
  { name: 'proxy|help', arity: 2, flags: 'loading stale fast', categories: 'connection fast' },
  { name: 'proxy|kill', arity: 3, flags: 'admin loading stale', categories: 'admin slow dangerous' },
  { name: 'proxy|pause', arity: -3, flags: 'admin loading stale', categories: 'admin slow dangerous' },
  { name: 'proxy|reload', arity: 2, flags: 'admin loading stale', categories: 'admin slow dangerous' },
  { name: 'proxy|resume', arity: 3, flags: 'admin loading stale', categories: 'admin slow dangerous' },
  { name: 'proxy|show', arity: 3, flags: 'admin loading stale', categories: 'admin slow dangerous' },
  { name: 'proxy|token', arity: 2, flags: 'loading stale fast', categories: 'connection fast' },
  { name: 'proxy|whoami', arity: 2, flags: 'loading stale fast', categories: 'connection fast' },
]
