/**
 * Finds a real redis-server (and redis-cli, redis-benchmark, nutcracker, redis_exporter, redis-py) for the demo, the tests and the benches, or
 * fetches it without touching the system. ~ touches files, child processes and, through apt-get, the network.
 * It does not start servers: redis-server.ts does.
 *
 *   $REGIS_REDIS_SERVER  ->  redis-server, valkey-server on PATH  ->  .cache/redis/  ->  fill .cache/redis/  ->  say how to install
 *
 * The cache is filled by Debian's own tools with folders of their own: `apt-get update` and `apt-get download` into a
 * scratch folder, `dpkg -x` into a second one, and that is renamed into place when `--version` answers. No root needed,
 * nothing is installed, and two processes that want it at once wait for one download.
 */
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** A program and what its environment needs besides the usual; `source` says where it came from, for people. */
export interface Tool {
  readonly command: string
  readonly env: Readonly<Record<string, string>>
  readonly version: string
  readonly source: string
}

export interface RedisTool extends Tool {
  readonly engine: 'redis' | 'valkey'
  /** Paths that can be started as they are. Undefined when the server was found without them. */
  readonly redisCli?: string
  readonly redisBenchmark?: string
}

export interface FindOptions {
  /** One line for people about something that takes time. */
  readonly say?: (line: string) => void
  /** Stands in for process.env: PATH and REGIS_REDIS_SERVER. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Where the cache folder is; default: `.cache` of the project. */
  readonly cacheRoot?: string
}

export class ToolNotFound extends Error {
  override name = 'ToolNotFound'
}

/** The folder that holds package.json: src/demo/ and dist/demo/ are equally deep. */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url))

const redisPackages = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1']
const howToInstall =
  'install one (Debian, Ubuntu: sudo apt-get install redis-server; Fedora: sudo dnf install valkey; ' +
  'macOS: brew install redis) or set REGIS_REDIS_SERVER=/path/to/redis-server'

/** A redis-server 6.2 or newer that has answered `--version`. Throws ToolNotFound with one line that says what to do. */
export async function findRedisServer(options: FindOptions = {}): Promise<RedisTool> {
  const env = options.env ?? process.env
  const named = env['REGIS_REDIS_SERVER']
  if (named !== undefined && named !== '') {
    const found = await probeRedis(named, {}, '$REGIS_REDIS_SERVER')
    if (typeof found === 'string') throw new ToolNotFound(`REGIS_REDIS_SERVER=${named}: ${found}`)
    return withNeighbours(found, env['PATH'])
  }
  for (const name of ['redis-server', 'valkey-server']) {
    const command = onPath(name, env['PATH'])
    if (command === undefined) continue
    const found = await probeRedis(command, {}, 'PATH')
    if (typeof found !== 'string') return withNeighbours(found, env['PATH'])
    options.say?.(`${command} is not used: ${found}`)
  }
  const folder = path.join(options.cacheRoot ?? path.join(projectRoot, '.cache'), 'redis')
  const cached = async (at: string) => {
    const found = await probeRedis(path.join(at, 'usr/bin/redis-server'), libraryEnv(at), '.cache/redis')
    if (typeof found === 'string') return undefined
    return { ...found, ...(await wrappers(at, found.env)) }
  }
  try {
    return await fromCache(folder, redisPackages, ['usr/bin/redis-server'], cached, options.say)
  } catch (error) {
    throw new ToolNotFound(`no redis-server found: ${howToInstall} (${messageOf(error)})`)
  }
}

/** A program of Debian's besides Redis: its packages, where it lies in them, and how it says its version. */
interface Recipe {
  readonly packages: readonly string[]
  readonly binary: string
  readonly versionFlag: string
  readonly isStatic?: true
}
const recipes = {
  /** What the benches compare with. It writes its version to stderr. */
  nutcracker: { packages: ['nutcracker', 'libyaml-0-2'], binary: 'usr/sbin/nutcracker', versionFlag: '-V' },
  /** redis_exporter, which dashboards stand on. */
  'prometheus-redis-exporter': {
    packages: ['prometheus-redis-exporter'],
    binary: 'usr/bin/prometheus-redis-exporter',
    versionFlag: '--version',
    isStatic: true,
  },
} as const satisfies Record<string, Recipe>

/** Another program that benches and tests use: PATH, then the cache, as for redis-server. */
export async function findTool(name: keyof typeof recipes, options: FindOptions = {}): Promise<Tool> {
  const recipe: Recipe = recipes[name]
  const command = onPath(name, (options.env ?? process.env)['PATH'])
  const probe = async (at: string, env: Record<string, string>, source: string) => {
    const text = await run(at, [recipe.versionFlag], env).then(
      (out) => out.stdout + out.stderr,
      () => '',
    )
    const version = /(\d+\.\d+\.\d+)/.exec(text)?.[1]
    return version === undefined ? undefined : { command: at, env, version, source }
  }
  const found = command === undefined ? undefined : await probe(command, {}, 'PATH')
  if (found !== undefined) return found
  const folder = path.join(options.cacheRoot ?? path.join(projectRoot, '.cache'), name)
  const cached = (at: string) => probe(path.join(at, recipe.binary), libraryEnv(at), `.cache/${name}`)
  const linked = recipe.isStatic === true ? [] : [recipe.binary]
  try {
    return await fromCache(folder, recipe.packages, linked, cached, options.say)
  } catch (error) {
    throw new ToolNotFound(`no ${name} found on PATH, and fetching Debian's failed: ${messageOf(error)}`)
  }
}

const pythonPackages = [
  'python3-redis',
  'python3-async-timeout',
  'python3-deprecated',
  'python3-wrapt',
  'python3-packaging',
]

/** This machine's python3 with redis-py: its own one, else Debian's, unpacked beside the others. */
export async function findRedisPy(options: FindOptions = {}): Promise<Tool> {
  const python = onPath('python3', (options.env ?? process.env)['PATH'])
  if (python === undefined) throw new ToolNotFound('no python3 found on PATH: install python3')
  const probe = async (env: Record<string, string>, source: string) => {
    const script = 'import redis; print(redis.__version__)'
    const version = await run(python, ['-c', script], env).then(
      (out) => out.stdout.trim(),
      () => '',
    )
    return version === '' ? undefined : { command: python, env, version, source }
  }
  const found = await probe({}, 'python3')
  if (found !== undefined) return found
  const folder = path.join(options.cacheRoot ?? path.join(projectRoot, '.cache'), 'redis-py')
  const cached = (at: string) =>
    probe({ PYTHONPATH: path.join(at, 'usr/lib/python3/dist-packages') }, '.cache/redis-py')
  try {
    return await fromCache(folder, pythonPackages, [], cached, options.say)
  } catch (error) {
    throw new ToolNotFound(`no redis-py found, and fetching Debian's python3-redis failed: ${messageOf(error)}`)
  }
}

/** What redis-server at `command` is, or why it cannot be used. */
async function probeRedis(command: string, env: Record<string, string>, source: string): Promise<RedisTool | string> {
  let text: string
  try {
    text = (await run(command, ['--version'], env)).stdout
  } catch (error) {
    return `it does not answer --version (${messageOf(error)})`
  }
  // "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "Valkey server v=8.0.1 ..."
  const [, engine, version] = /(Redis|Valkey) server v=(\d+\.\d+\.\d+)/.exec(text) ?? []
  if (engine === undefined || version === undefined) return 'what it answers to --version is not that of a Redis server'
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < 6 || (major === 6 && minor < 2)) return `version ${version} is older than 6.2`
  return { command, env, version, source, engine: engine === 'Redis' ? 'redis' : 'valkey' }
}

/**
 * Small scripts in `folder`/bin that start the cached redis-cli and redis-benchmark with their libraries, so that a person
 * can paste one line. Written once; the folder is moved after the fetch, so they find it from where they lie.
 */
async function wrappers(
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<Pick<RedisTool, 'redisCli' | 'redisBenchmark'>> {
  const libraries = (env['LD_LIBRARY_PATH'] ?? '').split(':').map((lib) => `$root/${path.relative(folder, lib)}`)
  const file = (name: string) => path.join(folder, 'bin', name)
  for (const name of ['redis-cli', 'redis-benchmark']) {
    if (isExecutable(file(name))) continue
    await mkdir(path.dirname(file(name)), { recursive: true })
    const script = `#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd)
LD_LIBRARY_PATH="${libraries.join(':')}" exec "$root/usr/bin/${name}" "$@"
`
    const fresh = `${file(name)}.${process.pid}`
    await writeFile(fresh, script, { mode: 0o755 })
    await rename(fresh, file(name))
  }
  return { redisCli: file('redis-cli'), redisBenchmark: file('redis-benchmark') }
}

/** redis-cli and redis-benchmark next to the server, else on PATH. */
function withNeighbours(tool: RedisTool, searchPath: string | undefined): RedisTool {
  const find = (suffix: string) => {
    for (const name of [`redis-${suffix}`, `valkey-${suffix}`]) {
      const beside = path.join(path.dirname(tool.command), name)
      if (isExecutable(beside)) return beside
    }
    return onPath(`redis-${suffix}`, searchPath) ?? onPath(`valkey-${suffix}`, searchPath)
  }
  const [cli, benchmark] = [find('cli'), find('benchmark')]
  return {
    ...tool,
    ...(cli === undefined ? {} : { redisCli: cli }),
    ...(benchmark === undefined ? {} : { redisBenchmark: benchmark }),
  }
}

/** The tool from `folder`, filled first when it is not there. `look` answers undefined when a folder has no working one. */
async function fromCache<T>(
  folder: string,
  packages: readonly string[],
  binaries: readonly string[],
  look: (folder: string) => Promise<T | undefined>,
  say: (line: string) => void = () => {},
): Promise<T> {
  const before = await look(folder)
  if (before !== undefined) return before
  if (onPath('apt-get', process.env['PATH']) === undefined || onPath('dpkg', process.env['PATH']) === undefined) {
    throw new Error('it cannot be fetched either: apt-get and dpkg are not here')
  }
  mkdirSync(path.dirname(folder), { recursive: true })
  return underLock(`${folder}.lock`, async () => {
    const meanwhile = await look(folder)
    if (meanwhile !== undefined) return meanwhile
    say(`fetching ${packages[0]} of this system's package archive into ${path.basename(path.dirname(folder))}/ ...`)
    const work = await mkdtemp(`${folder}.work-`)
    try {
      await fetchPackages(work, packages, binaries, say)
      const fresh = path.join(work, 'root')
      if ((await look(fresh)) === undefined) throw new Error('the fetched program does not start')
      await rm(folder, { recursive: true, force: true })
      await rename(fresh, folder)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
    const after = await look(folder)
    if (after === undefined) throw new Error('the fetched program does not start')
    return after
  })
}

/** Downloads and unpacks packages into `work`/root, then whatever libraries the binaries still miss. */
async function fetchPackages(
  work: string,
  packages: readonly string[],
  binaries: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const root = path.join(work, 'root')
  const debs = path.join(work, 'debs')
  await Promise.all(
    ['root', 'debs', 'lists/partial', 'cache'].map((name) => mkdir(path.join(work, name), { recursive: true })),
  )
  const apt = [
    ...['-q', '-o', `Dir::State::Lists=${path.join(work, 'lists')}`, '-o', `Dir::Cache=${path.join(work, 'cache')}`],
    // As root apt-get would drop to a user that may not write here.
    ...['-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Languages=none', '-o', 'Acquire::Retries=1'],
    ...['-o', 'Acquire::http::Timeout=15', '-o', 'Acquire::https::Timeout=15'],
  ]
  const download = async (names: readonly string[]) => {
    await run('apt-get', [...apt, 'download', ...names], {}, debs)
    for (const name of readdirSync(debs)) {
      await run('dpkg', ['-x', path.join(debs, name), root], {})
      await rm(path.join(debs, name))
    }
  }
  // A broken source of somebody else makes update fail though Debian's own lists have arrived: download decides.
  await run('apt-get', [...apt, 'update'], {}).catch(() => {})
  say('package lists are here, downloading ...')
  await download(packages)
  // Libraries bring libraries: three rounds are one more than redis-tools needs on an empty Debian.
  for (let round = 0; round < 4; round++) {
    const missing = new Set<string>()
    for (const binary of binaries) {
      const text = (await run('ldd', [path.join(root, binary)], libraryEnv(root))).stdout
      for (const [, soname = ''] of text.matchAll(/^\s*(\S+) => not found/gm)) missing.add(soname)
    }
    if (missing.size === 0) return
    for (const soname of missing) {
      const names = packagesOf[soname]
      if (names === undefined) throw new Error(`${soname} is missing, and no package is known for it`)
      // Debian 13 renamed libssl3 to libssl3t64: the first name that exists.
      await names.reduce<Promise<void>>(
        (tried, name) => tried.catch(() => download([name])),
        Promise.reject(new Error(soname)),
      )
    }
  }
  throw new Error('libraries are still missing after four rounds')
}

/** Library file -> Debian packages that may hold it: what redis-tools and nutcracker need beyond libc. */
const packagesOf: Readonly<Record<string, readonly string[]>> = {
  'libatomic.so.1': ['libatomic1'],
  'libssl.so.3': ['libssl3t64', 'libssl3'],
  'libcrypto.so.3': ['libssl3t64', 'libssl3'],
  'libssl.so.1.1': ['libssl1.1'],
  'libcrypto.so.1.1': ['libssl1.1'],
  'libsystemd.so.0': ['libsystemd0'],
  'libjemalloc.so.2': ['libjemalloc2'],
  'liblzf.so.1': ['liblzf1'],
  'liblua5.1.so.0': ['liblua5.1-0'],
  'liblua5.1-cjson.so.0': ['lua-cjson'],
  'liblua5.1-bitop.so.0': ['lua-bitop'],
  'libhiredis.so.0.14': ['libhiredis0.14'],
  'libyaml-0.so.2': ['libyaml-0-2'],
  'libstdc++.so.6': ['libstdc++6'],
  'libgcc_s.so.1': ['libgcc-s1'],
  'libcap.so.2': ['libcap2'],
  'libgcrypt.so.20': ['libgcrypt20'],
  'libgpg-error.so.0': ['libgpg-error0'],
  'liblz4.so.1': ['liblz4-1'],
  'liblzma.so.5': ['liblzma5'],
  'libzstd.so.1': ['libzstd1'],
  'libz.so.1': ['zlib1g'],
}

/** The folders of shared libraries under an unpacked root: usr/lib/<triplet>, lib/<triplet>. */
function libraryEnv(root: string): Record<string, string> {
  const folders: string[] = []
  for (const lib of ['usr/lib', 'lib']) {
    const at = path.join(root, lib)
    if (!existsSync(at)) continue
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) folders.push(path.join(at, entry.name))
    }
  }
  return folders.length === 0 ? {} : { LD_LIBRARY_PATH: folders.join(':') }
}

/** Holds `folder` as a lock while `work` runs. One whose owner is dead is taken over. Waits at most three minutes. */
async function underLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const pidFile = path.join(folder, 'pid')
  for (let tries = 0; ; tries++) {
    try {
      mkdirSync(folder)
      break
    } catch (error) {
      if (!existsSync(folder)) throw error
    }
    if (tries > 1800) throw new Error(`another process holds ${folder} for too long`)
    const owner = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : undefined
    // Without a pid the owner is between mkdir and writing it, or died there: 2 s decide.
    if (owner === undefined || owner === 0 ? tries > 0 && tries % 20 === 0 : !isAlive(owner)) {
      await rm(folder, { recursive: true, force: true })
    }
    await sleep(100)
  }
  try {
    await writeFile(pidFile, String(process.pid))
    return await work()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function onPath(name: string, searchPath: string | undefined): string | undefined {
  for (const folder of (searchPath ?? '').split(path.delimiter)) {
    const file = path.join(folder, name)
    if (folder !== '' && isExecutable(file)) return file
  }
  return undefined
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Runs a program to its end, at most two minutes; rejects with the last line it wrote to stderr. */
function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd?: string,
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      env: { ...process.env, LC_ALL: 'C', ...env },
      timeout: 120_000,
      ...(cwd === undefined ? {} : { cwd }),
    }
    execFile(
      command,
      [...args],
      { ...options, encoding: 'utf8', maxBuffer: 4 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ stdout, stderr })
        const lastLine = stderr.trim().split('\n').at(-1) ?? ''
        reject(new Error(`${path.basename(command)}: ${lastLine === '' ? error.message : lastLine}`))
      },
    )
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
