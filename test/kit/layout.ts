/**
 * The checker behind test/unit/layout.test.ts: which rooms a file may import, and which files may touch the world. Works
 * on swc's syntax tree, so comments, strings and property names are not mistaken for code. Reads no files itself.
 */
import { parseSync } from '@swc/core'

/**
 * The rooms, left to right: a file imports its own room and rooms to its left. A file that lies in src/ itself is a room
 * of its own. demo stands left of cli, because `regis demo` is a verb that starts the demo's fleet.
 */
export const rooms: readonly string[] = [
  'base',
  'metrics',
  'resp',
  'commands',
  'quota',
  'tenant',
  'scripts',
  'upstream',
  'regions',
  'usage',
  'routing',
  'session',
  'builtin',
  'leased-path',
  'tracking-path',
  'admission',
  'stream-path',
  'request-path',
  'explain',
  'config',
  'admin',
  'proxy',
  'demo',
  'verify',
  'workers',
  'cli',
]

/** Why a file is a window; with `only`, for these effects and no others. */
export type Window = string | { readonly only: readonly string[]; readonly why: string }

/**
 * The windows: files (or rooms, with a closing slash) that may touch sockets, files, processes, timers, the terminal or the
 * clock, and why. A new one is added here by who needs it, with the reason why the effect cannot be handed in instead.
 * A window says so by a ~ in the comment at its top.
 */
export const windows: Readonly<Record<string, Window>> = {
  'base/clock.ts': 'the real clock, for all who are handed a Clock',
  'base/slices.ts': { only: ['setImmediate'], why: 'long work lets others have a turn' },
  'base/log.ts': 'writes the log to stdout',
  'base/memory.ts': { only: ['process.env'], why: "NODE_OPTIONS may change what V8's limit means" },
  'config/load.ts': 'reads proxy.yaml and the files it names',
  'config/reload-thread.ts': 'reads a large configuration in a thread of its own',
  'config/watch.ts': 'looks after the files of the configuration (--watch), by the clock',
  'upstream/connection.ts': 'the socket to a node',
  'upstream/subscription-link.ts': 'the socket to a node that carries subscriptions',
  'regions/probe.ts': 'asks nodes for role and round trip on connections of its own, by the clock',
  'regions/subscriber.ts': 'hears the watermarks come out at a replica',
  'regions/sentinel-link.ts': 'asks and hears Sentinels on connections of its own, by the clock',
  'regions/host-addresses.ts': 'asks what host names resolve to',
  'regions/wire.ts': 'opens and keeps the control connections of the regions room, through ioredis',
  'regions/timers.ts': 'the real timers and wall clock, for all of the room who are handed Timers',
  'upstream/pool.ts': {
    only: ['setImmediate', 'setTimeout'],
    why: 'one write per node and turn of the event loop; replies that wait for the rest of theirs',
  },
  'session/waiting.ts': { only: ['setImmediate'], why: 'clients that were held back go on in a turn of their own' },
  'session/listener.ts': 'accepts clients',
  'session/session.ts': 'the socket of a client',
  'admin/http.ts': 'the admin port',
  'proxy.ts': 'start, reload, stop: timers and signals',
  'commands/facts-generator.ts': 'run by hand: asks a live server and writes facts.generated.ts',
  'demo/': 'starts real servers, relays and load',
  'verify/peer.ts': 'waits before it comes back to a proxy that was lost',
  'verify/prober.ts': 'reads and writes at a pace, for a while',
  'verify/admin-page.ts': 'asks the admin port of a proxy',
  'workers/ports.ts': 'listens for all workers',
  'workers/scratch.ts': 'makes and takes away a folder',
  'workers/child.ts': 'starts and ends a worker process, and asks it for signs of life by the clock',
  'workers/supervisor.ts': 'when workers are started again, and how long they may take to end',
  'workers/worker-main.ts': 'is a worker process',
  'workers/fence-files.ts': { only: ['node:fs'], why: 'memory that the workers of one proxy share' },
  'cli/': 'talks to a person at a terminal',
}

/** Modules that are effects. Their types may be imported anywhere. */
const effectModules = new Set([
  ...['net', 'tls', 'dgram', 'dns', 'dns/promises', 'http', 'https', 'http2', 'fs', 'fs/promises', 'child_process'],
  ...['timers', 'timers/promises', 'worker_threads', 'cluster', 'readline', 'readline/promises'],
])
/** What those modules hold besides effects: an import of nothing else is none. */
const pureNames = new Set(['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress'])
const effectPackages = new Set(['ioredis', 'pino', 'pino-pretty'])
const effectGlobals = new Set(['setTimeout', 'setInterval', 'setImmediate', 'console', 'fetch'])
/** Object -> members that are effects. `new Date()` is Date.now() in another dress. */
const effectMembers: Readonly<Record<string, ReadonlySet<string>>> = {
  process: new Set([
    'stdout',
    'stderr',
    'stdin',
    'exit',
    'exitCode',
    'kill',
    'on',
    'once',
    'chdir',
    'hrtime',
    'env',
    'argv',
  ]),
  Date: new Set(['now']),
  performance: new Set(['now']),
}

interface Found {
  readonly specifier?: string
  readonly effect?: string
}

/** What is wrong with these files, each as `path: what`. Keys are paths below src/, values their text. */
export function layoutViolations(
  files: Readonly<Record<string, string>>,
  allowed: Readonly<Record<string, Window>> = windows,
): string[] {
  const violations: string[] = []
  for (const [path, text] of Object.entries(files)) {
    const say = (what: string) => violations.push(`${path}: ${what}`)
    const room = roomOf(path)
    const rank = rooms.indexOf(room)
    if (rank < 0) {
      say(`${room} is not a room`)
      continue
    }
    const found = analyse(text)
    const effects = new Set<string>()
    for (const { specifier, effect } of found) {
      if (effect !== undefined) effects.add(effect)
      if (specifier === undefined || !specifier.startsWith('.')) continue
      const target = roomOf(join(path, specifier))
      const targetRank = rooms.indexOf(target)
      if (targetRank < 0) say(`imports ${specifier}, which is in no room`)
      if (targetRank > rank) say(`${room} imports ${target}, a room to its right`)
    }
    const name = Object.keys(allowed).find((key) => (key.endsWith('/') ? path.startsWith(key) : path === key))
    const window = name === undefined ? undefined : allowed[name]
    if (effects.size === 0) continue
    if (typeof window === 'object') {
      const others = [...effects].filter((effect) => !window.only.includes(effect))
      if (others.length > 0) say(`is a window for ${window.only.join(', ')}, but touches ${others.join(', ')}`)
    } else if (window === undefined) {
      say(`is no window, but touches ${[...effects].join(', ')}`)
    } else if (!/~|\bwindow\b/i.test(text.split('*/')[0] ?? '')) {
      say('is a window, but the comment at its top has no ~')
    }
  }
  return violations
}

function roomOf(path: string): string {
  const slash = path.indexOf('/')
  return slash < 0 ? path.replace(/\.ts$/, '') : path.slice(0, slash)
}

function join(from: string, specifier: string): string {
  const parts = from.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** Imports, re-exports and effects of one file, in the order in which they stand. */
function analyse(text: string): Found[] {
  const found: Found[] = []
  const bringsIn = (specifier: string, isTypeOnly: boolean) => {
    found.push({ specifier })
    const builtin = specifier.startsWith('node:') ? specifier.slice(5) : undefined
    if (!isTypeOnly && (effectPackages.has(specifier) || (builtin !== undefined && effectModules.has(builtin)))) {
      found.push({ effect: specifier })
    }
  }
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const item of node) visit(item)
      return
    }
    if (!isNode(node)) return
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration': {
        const source = node['source']
        if (isNode(source)) bringsIn(String(source['value']), node['typeOnly'] === true || isPure(node['specifiers']))
        return
      }
      case 'CallExpression': {
        const callee = node['callee']
        if (isNode(callee) && callee.type === 'Import') {
          const [first] = node['arguments'] as { expression: { value?: unknown } }[]
          bringsIn(String(first?.expression.value), false)
        }
        break
      }
      case 'MemberExpression': {
        const { object, property } = node
        if (isNode(object) && object.type === 'Identifier' && isNode(property) && property.type === 'Identifier') {
          const [name, member] = [String(object['value']), String(property['value'])]
          if (name === 'globalThis' && effectGlobals.has(member)) found.push({ effect: member })
          if (effectMembers[name]?.has(member)) found.push({ effect: `${name}.${member}` })
        }
        visit(object)
        // A property's name is not a use of the global of that name; a computed one is an expression.
        if (isNode(property) && property.type !== 'Identifier') visit(property)
        return
      }
      case 'NewExpression': {
        const callee = node['callee']
        const args = node['arguments']
        const isBare = !Array.isArray(args) || args.length === 0
        if (isNode(callee) && callee['value'] === 'Date' && isBare) found.push({ effect: 'new Date()' })
        break
      }
      case 'Identifier':
        if (effectGlobals.has(String(node['value']))) found.push({ effect: String(node['value']) })
        return
    }
    // Types do nothing; expressions that carry one (as, satisfies, !) still do.
    if (node.type.startsWith('Ts') && !/^Ts(As|Satisfies|NonNull|ConstAssertion|TypeAssertion)/.test(node.type)) return
    for (const [key, value] of Object.entries(node)) {
      if (key === 'span' || key === 'type' || key === 'typeAnnotation') continue
      if (key === 'key' && isNode(value) && value.type === 'Identifier') continue
      if (typeof value === 'object' && value !== null) visit(value)
    }
  }
  visit(parseSync(text, { syntax: 'typescript', target: 'es2022' }).body)
  return found
}

/** True for `import { isIP } from ...`: names that do nothing, or types, and at least one. */
function isPure(specifiers: unknown): boolean {
  if (!Array.isArray(specifiers) || specifiers.length === 0) return false
  return specifiers.every((specifier: unknown) => {
    if (!isNode(specifier) || specifier.type !== 'ImportSpecifier') return false
    const name = isNode(specifier['imported']) ? specifier['imported']['value'] : nameOf(specifier['local'])
    return specifier['isTypeOnly'] === true || pureNames.has(String(name))
  })
}

function nameOf(node: unknown): unknown {
  return isNode(node) ? node['value'] : undefined
}

interface SyntaxNode {
  readonly type: string
  readonly [key: string]: unknown
}

/** swc wraps some children in objects without a type (call arguments): those are walked as nodes of no kind. */
function isNode(value: unknown): value is SyntaxNode {
  if (typeof value !== 'object' || value === null) return false
  if (!('type' in value)) Object.assign(value, { type: '' })
  return typeof (value as { type: unknown }).type === 'string'
}
