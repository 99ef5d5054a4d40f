/**
 * The table of keys: every key of proxy.yaml, one row each, with its kind, its default, what it is for, and whether its
 * feature is built. Types, config/schema.json, docs/config.md and validation come from here. What no single key can say
 * (prefixes that overlap, names that must exist) is in checks.ts.
 */
import { z } from 'zod'
import {
  address,
  durableTimeout,
  duration,
  flag,
  integer,
  nodeUrl,
  notEnforced,
  oneOf,
  oneOrMany,
  optional,
  passwordHash,
  positiveByteRate,
  positiveDuration,
  positiveRate,
  positiveSize,
  preset,
  rate,
  required,
  tenantLabel,
  text,
} from './fields.ts'

const level = () => oneOf('eventual', 'bounded', 'session', 'strong')
const whenStale = () => oneOf('primary', 'wait', 'error')

const listener = z.strictObject({
  address: required(address(), { about: 'Where clients connect. `:6380` is every IPv4 interface.' }),
  tls: optional(
    z.strictObject({
      cert: required(text(), { about: 'File with the certificate and its chain, PEM.' }),
      key: required(text(), { about: 'File with the private key, PEM.' }),
      client_ca: optional(text(), {
        about: 'File with the CAs of client certificates, PEM: makes one compulsory (mTLS).',
      }),
    }),
    { about: 'TLS for this listener. Paths are relative to the folder of this file.' },
  ),
  proxy_protocol: preset(flag(), 'false', {
    about: 'Expect a PROXY protocol v1 or v2 header from a load balancer on every connection.',
  }),
})

const upstream = z.strictObject({
  username: optional(text(), { about: 'Login at every node whose URL holds none.' }),
  password: optional(text(), { about: 'Its password.', secret: true }),
  timeout: preset(positiveDuration(), '2s', { about: 'A node that takes longer for a reply loses the connection.' }),
  connections: preset(integer(1, 64), '1', { about: 'Shared connections to each node.' }),
  ca: optional(text(), {
    about: 'File with the CAs that sign the certificates of `rediss://` nodes, PEM; else those of the system.',
  }),
  acl: preset(oneOf('provision', 'off'), 'provision', {
    about:
      "Whether Regis creates one ACL user per tenant on the nodes, as which its scripts run, so that Redis itself refuses a key that is not the tenant's. Off, or where the server refuses it: scripts stay denied.",
  }),
  strict: preset(flag(), 'false', {
    about:
      'True: a node that cannot be reached or refuses the login at start ends the proxy. False: it starts and keeps trying.',
  }),
})

const node = z.strictObject({
  url: required(nodeUrl(), { about: '`redis://[user:password@]host:port`, or `rediss://` for TLS.' }),
  ca: optional(text(), { about: "File with the CAs for this node, PEM; else `upstream.ca`'s." }),
  servername: optional(text(), { about: "Name in the node's certificate and in SNI, where it differs from the host." }),
})

const region = z.strictObject({
  nodes: required(z.array(z.union([nodeUrl(), node])).min(1), {
    about: 'The Redis servers there: URLs, or mappings with `url`. Which is the primary is read from the servers.',
  }),
  distance: optional(
    z.record(z.string(), required(duration(), { about: 'Round trip from this region to that one.' })),
    {
      about:
        'Round trips from this region to others, where they are not to be measured. Counts in both directions unless the other region says otherwise.',
    },
  ),
})

const rule = z.strictObject({
  tenant: optional(text(), { about: 'Only for this tenant; else for all.' }),
  keys: required(text(), { about: "Glob over the tenant's own key names, as for KEYS." }),
  consistency: optional(level(), { about: 'Level of reads of these keys.' }),
  max_staleness: optional(positiveDuration(), { about: 'For `bounded`; a ceiling for the other levels.' }),
  when_stale: optional(whenStale(), { about: 'As in `routing`.' }),
  pin: preset(flag(), 'false', { about: 'True: a connection cannot choose a weaker level for these keys.' }),
})

const routing = z.strictObject({
  consistency: preset(level(), 'session', { about: 'Level of a read for which nothing more special is said.' }),
  max_staleness: optional(positiveDuration(), {
    about:
      'How old `bounded` reads may be; 500ms unless given. Where it is given it is a ceiling for the other levels too.',
  }),
  when_stale: preset(whenStale(), 'primary', {
    about:
      'A read that no replica can be proven fresh enough for: goes to the `primary`, waits `max_wait` for the replica first, or is answered with an `error`.',
  }),
  max_wait: preset(duration(), '20ms', { about: 'How long `when_stale: wait` waits.' }),
  fallback_limit: optional(rate(), {
    about:
      'Cap on the session and bounded reads that lag sends to the primary, of this proxy, shared fairly by tenant; above it they are answered `-TRYAGAIN`. 0: none.',
  }),
  rules: preset(z.array(rule), [], { about: 'The first one that matches a key decides.' }),
})

const opsLimit = () =>
  optional(positiveRate(), {
    about: 'Units of commands per time: a small command is one, docs/quotas.md says what others are.',
  })
const burstLimit = () =>
  optional(integer(1, 1_000_000_000), {
    about: 'Units that may come at once. A quarter of a second of `ops`, at least 10, unless given.',
  })
const bandwidthLimit = () => optional(positiveByteRate(), { about: 'Bytes per time, both directions together.' })
const connectionsLimit = () => optional(integer(1, 1_000_000), { about: 'Client connections of this proxy.' })

const quota = z.strictObject({
  ops: opsLimit(),
  burst: burstLimit(),
  bandwidth: bandwidthLimit(),
  connections: connectionsLimit(),
  leases: optional(integer(1, 8_000), {
    about: 'Connections to the primary that its clients may hold; else `limits.leases_per_tenant`.',
  }),
  max_request: optional(positiveSize(), {
    about: 'Bytes of one request, and of one argument; at most `limits.max_request`.',
  }),
  in_flight: optional(integer(1, 65_536), {
    about:
      'Commands of all its clients that are on their way to shared connections at once, at this proxy; others wait.',
  }),
  memory: optional(positiveSize(), {
    about:
      "Bytes of its keys in Redis, as MEMORY USAGE counts them. At it, commands with Redis's denyoom flag get `-OOM`.",
  }),
  keys: optional(integer(1, Number.MAX_SAFE_INTEGER), {
    about: 'Keys in Redis. At it, the same commands get the same answer, those that would bring no new key too.',
  }),
  scope: preset(oneOf('fleet', 'proxy'), 'fleet', {
    about: '`ops` and `bandwidth`: one limit over all proxies, divided by demand, or one for each.',
  }),
  when_exceeded: preset(oneOf('delay', 'error'), 'delay', {
    about: 'Above `ops` or `bandwidth`: a command waits up to 50 ms before the error, or not.',
  }),
})

const user = z.strictObject({
  password: optional(oneOrMany(text), { about: 'One password, or a list while it is rotated.', secret: true }),
  password_hash: optional(oneOrMany(passwordHash), {
    about: 'From `regis hash-password`; one or a list.',
    secret: true,
  }),
  nopass: preset(flag(), 'false', {
    about: 'Any password is right. For user `default`: connections without AUTH too.',
  }),
  access: preset(oneOf('read-write', 'read-only'), 'read-write', { about: 'What the user may do.' }),
  consistency: optional(level(), { about: 'Level of its reads.' }),
  max_staleness: optional(positiveDuration(), { about: 'For `bounded`; a ceiling for the other levels.' }),
  quota: optional(
    z.strictObject({
      ops: opsLimit(),
      burst: burstLimit(),
      bandwidth: bandwidthLimit(),
      connections: connectionsLimit(),
    }),
    { about: "How much this user may use of its tenant's." },
  ),
})

const otherDatabase = z.strictObject({
  database: required(integer(1, 1_000_000), {
    about: "A logical database of the servers that is this tenant's alone: its keys have no prefix there.",
  }),
})

const tenant = z.strictObject({
  prefix: optional(text(), { about: 'Put in front of every key and channel. `<id>:` unless given.' }),
  users: required(z.record(z.string(), required(user, { about: 'A login.' })), { about: 'Logins by name.' }),
  consistency: optional(level(), { about: 'Level of its reads.' }),
  max_staleness: optional(positiveDuration(), { about: 'For `bounded`; a ceiling for the other levels.' }),
  when_stale: optional(whenStale(), { about: 'As in `routing`.' }),
  quota: optional(quota, { about: 'How much the tenant may use. What is left out has no limit.' }),
  durability: optional(
    z.strictObject({
      replicas: required(integer(1, 16), { about: 'How many replicas must have a write.' }),
      timeout: preset(durableTimeout(), '200ms', {
        about:
          'How long to wait for them, 60s at most. Above the round trips to the primary and from it to its replicas.',
      }),
    }),
    {
      about:
        'Writes are acknowledged only when so many replicas have them; else the answer is `-NOTDURABLE`, which says that the write is on the primary.',
    },
  ),
  scripts: preset(oneOf('off', 'declared', 'any'), 'off', {
    about:
      'Lua: none; `declared`: keys are in KEYS, and scripts see them with the prefix; `any`: keys are prefixed inside Lua too, for libraries that build them there.',
  }),
  isolation: preset(z.union([oneOf('prefix'), otherDatabase]), 'prefix', {
    about:
      'By prefix, or a logical database for code that computes keys. A change moves no keys: the tenant begins empty.',
  }),
  databases: preset(integer(1, 16), '1', {
    about:
      'Databases that SELECT offers. Above 1 the keys of database i begin with the prefix, i and a colon, those of 0 too: a change from or to 1 moves no keys.',
  }),
  deny: preset(z.array(text()), [], {
    about: 'Commands (`KEYS`, `CONFIG|GET`) and categories (`@dangerous`) refused to it.',
  }),
})

/** A line of `tenants_file`. */
export const tenantLine = tenant.extend({ id: required(text(), { about: "The tenant's id." }) })

const operator = z.strictObject({
  password: optional(oneOrMany(text), { about: 'One password, or a list while it is rotated.', secret: true }),
  password_hash: optional(oneOrMany(passwordHash), {
    about: 'From `regis hash-password`; one or a list.',
    secret: true,
  }),
})

const discovery = z.strictObject({
  sentinels: required(z.array(address()).min(1).max(16), {
    about: 'Addresses of the Sentinels. Others that they tell of are asked too.',
  }),
  master: required(text(), { about: 'Name of the master there.' }),
  username: optional(text(), { about: 'Login at the Sentinels, where they want one.' }),
  password: optional(text(), { about: 'Its password.', secret: true }),
  tls: preset(flag(), 'false', { about: 'Speak TLS to the Sentinels; `upstream.ca` holds their CAs.' }),
})

export const schema = z.strictObject({
  region: required(text(), {
    about:
      'Where this proxy runs: one of `regions`. `--region` goes before it; where it is left out, `$REGION` counts.',
  }),
  listeners: preset(z.array(listener).min(1), [{ address: '0.0.0.0:6380' }], { about: 'Where clients connect.' }),
  admin: preset(
    z.strictObject({
      address: preset(address(), '127.0.0.1:9380', {
        about: 'Metrics, health and the API. Outside loopback only with a token.',
      }),
      token: optional(text(), { about: 'Bearer token of the admin API.', secret: true }),
    }),
    {},
    { about: 'The HTTP side.' },
  ),
  upstream: preset(upstream, {}, { about: 'How the nodes are reached.' }),
  primary: optional(text(), {
    about:
      'The region in which the primary is looked for first. Roles come from the servers. Needed unless `discovery` is there.',
  }),
  discovery: optional(discovery, {
    about:
      'The primary is the node that most Sentinels name and that says so itself. Its address there must be that of a node of `regions`, by name or by what both resolve to.',
  }),
  regions: required(z.record(z.string(), required(region, { about: 'A region.' })), { about: 'Regions by name.' }),
  routing: preset(routing, {}, { about: 'Which reads may be served where.' }),
  tenants: preset(
    z.record(z.string(), required(tenant, { about: 'A tenant.' })),
    {},
    { about: 'Tenants by id. Needed unless `tenants_file` is there.' },
  ),
  tenants_file: optional(text(), {
    about:
      'File with further tenants, for many thousands of them: one a line, as a JSON object that holds its `id` and what else would stand under `tenants`. Relative to the folder of this file.',
  }),
  operators: preset(
    z.record(z.string(), required(operator, { about: 'A login.' })),
    {},
    {
      about: 'Logins for PROXY admin verbs; they see no keys.',
    },
  ),
  logging: preset(
    z.strictObject({
      level: preset(oneOf('debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info', {
        about: 'Least level that is logged.',
      }),
      format: preset(oneOf('auto', 'json', 'pretty'), 'auto', { about: '`auto` is pretty on a terminal, else JSON.' }),
      slow_command: preset(duration(), '50ms', {
        about: 'Commands slower than this are kept in the slow log.',
        notYet: notEnforced('logging.slow_command'),
      }),
    }),
    {},
    { about: 'Log lines on stdout. Never keys, values or secrets.' },
  ),
  metrics: preset(
    z.strictObject({
      tenant_label: preset(tenantLabel(), 'top:50', {
        about: 'Tenants with a label of their own; the rest are `other`.',
      }),
    }),
    {},
    { about: 'What `/metrics` shows.' },
  ),
  sweep: preset(
    z.strictObject({
      when: preset(oneOf('auto', 'always', 'off'), 'auto', {
        about:
          'Whether the keys of all tenants are looked at on a replica, for `memory` and `keys`: `auto` while a tenant has such a quota, `always` for the metrics too. `off`: those quotas know only what was written since the proxy started.',
      }),
      every: preset(positiveDuration(), '60s', {
        about:
          'Rest between two sweeps. One takes a tenth of a core of the replica at most, and none begins before something was written.',
      }),
    }),
    {},
    { about: 'Measuring of memory and keys per tenant.' },
  ),
  limits: preset(
    z.strictObject({
      max_clients: preset(integer(1, 1_000_000), '10000', { about: 'Client connections of this proxy.' }),
      leases_per_tenant: preset(integer(1, 8_000), '2000', {
        about:
          "Connections to the primary of their own that a tenant's clients may hold: those that are blocked, watch or track keys, or run scripts, one each. All tenants together hold 8000.",
      }),
      max_request: preset(positiveSize(), '512MiB', { about: 'Bytes of one request, and of one argument.' }),
      output: preset(positiveSize(), '128MiB', {
        about: 'Unread replies of all clients together; above it the largest holders are closed.',
      }),
      memory: optional(positiveSize(), {
        about:
          'What this process may use: at 85 % it takes no new clients, at 92 % it refuses commands of the heaviest tenants, at 95 % it closes the heaviest clients. Default: 80 % of what the control group, else the machine, has.',
      }),
      idle_timeout: preset(duration(), '0s', {
        about: 'A client that is silent for longer is closed; 0s is never.',
      }),
      auth_failures: preset(rate(), '10/m', { about: 'Wrong passwords per address and user; 0 is no limit.' }),
      script_time: preset(positiveDuration(), '5s', {
        about:
          "A tenant's script that runs longer is ended by SCRIPT KILL, if it has not written. Redis listens to that only after its own `busy-reply-threshold` (5 s).",
      }),
    }),
    {},
    { about: 'What one proxy takes on.' },
  ),
  shutdown: preset(
    z.strictObject({
      drain: preset(duration(), '30s', { about: 'After SIGTERM clients have this long to finish.' }),
    }),
    {},
    { about: 'How it stops.' },
  ),
})

/** The file after validation, before files are read and defaults between keys are resolved. */
export type Written = z.output<typeof schema>
