/**
 * Makes a checkout runnable: packages installed as package-lock.json says, dist/ built from src/ as it is now. Says nothing
 * when nothing is to be done. Plain JavaScript without packages, because it runs before there are any; it prints to
 * stderr, so that what a verb prints to stdout stays clean. It does not look for redis-server: src/demo/ does.
 *
 *   node bin/bootstrap.mjs        install if needed, build if needed (npm start, npm test)
 *   import { bootstrap }          the same from bin/regis, where a fresh dist/ is enough and nothing is installed
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const nodeNeeded = [20, 19]
const root = fileURLToPath(new URL('../', import.meta.url))
const at = (...parts) => path.join(root, ...parts)
const say = (line) => process.stderr.write(`regis: ${line}\n`)

class BootstrapError extends Error {}

/** Installs and builds what is missing; throws BootstrapError with one clear line. `checkPackages: false` trusts a fresh dist/. */
export function bootstrap({ checkPackages = true } = {}) {
  checkNode()
  if (!checkPackages && readOr(at('dist', '.stamp')) === sourceStamp()) return
  withLock(() => {
    installIfNeeded()
    buildIfNeeded()
  })
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > nodeNeeded[0] || (major === nodeNeeded[0] && minor >= nodeNeeded[1])) return
  throw new BootstrapError(
    `Node ${nodeNeeded.join('.')} or newer is needed, this is ${process.versions.node} (${process.execPath})`,
  )
}

function installIfNeeded() {
  const lock = readFileSync(at('package-lock.json'))
  const stamp = createHash('sha256').update(lock).digest('hex')
  const stampFile = at('node_modules', '.regis-stamp')
  if (readOr(stampFile) === stamp) return
  if (!installedAsLocked(JSON.parse(lock.toString()))) {
    const startedAt = Date.now()
    say('installing packages with npm ci, about 20 s the first time ...')
    // npm's own lines go to stderr too; on a terminal it shows its own progress.
    const run = spawnSync('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], {
      cwd: root,
      stdio: ['ignore', 2, 2],
    })
    if (run.error) throw new BootstrapError(`npm could not be started: ${run.error.message}`)
    if (run.status !== 0) throw new BootstrapError('npm ci failed (its own message is above); nothing was built')
    say(`packages installed in ${seconds(startedAt)}`)
  }
  writeFileSync(stampFile, stamp)
}

/** True if node_modules is what a plain `npm ci` by hand would have made: npm keeps a list of what it installed. */
function installedAsLocked(lock) {
  const text = readOr(at('node_modules', '.package-lock.json'))
  if (text === undefined) return false
  const installed = JSON.parse(text).packages ?? {}
  for (const [name, wanted] of Object.entries(lock.packages)) {
    if (name === '') continue
    const found = installed[name]
    // Optional packages are for other systems (swc, biome and TypeScript ship one binary package a platform).
    if (found === undefined ? !(wanted.optional || wanted.devOptional) : found.version !== wanted.version) return false
  }
  return true
}

function buildIfNeeded() {
  const stamp = sourceStamp()
  if (readOr(at('dist', '.stamp')) === stamp) return
  const startedAt = Date.now()
  // Built aside and swapped in, so that a process that starts meanwhile sees the old dist/ or the new one.
  const fresh = at(`.cache/dist-${process.pid}`)
  const old = at(`.cache/dist-old-${process.pid}`)
  try {
    const tsc = at('node_modules', 'typescript', 'bin', 'tsc')
    const run = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh], {
      cwd: root,
      encoding: 'utf8',
    })
    if (run.error) throw new BootstrapError(`tsc could not be started: ${run.error.message}`)
    if (run.status !== 0) {
      process.stderr.write(run.stdout + run.stderr)
      // For work in progress: tsc writes JavaScript even where types do not fit yet.
      if (process.env.REGIS_IGNORE_TYPES !== '1' || !existsSync(fresh)) {
        throw new BootstrapError('the build failed: tsc -p tsconfig.build.json (messages above)')
      }
    }
    writeFileSync(path.join(fresh, '.stamp'), stamp)
    if (existsSync(at('dist'))) renameSync(at('dist'), old)
    renameSync(fresh, at('dist'))
    say(`built dist/ in ${seconds(startedAt)}`)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}

/** Hash of every source file's name and content: mtimes lie after a checkout. About 5 ms for the whole tree. */
function sourceStamp() {
  const hash = createHash('sha256')
  const names = readdirSync(at('src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
  for (const name of [at('tsconfig.json'), at('tsconfig.build.json'), ...names.sort()]) {
    hash.update(`${path.relative(root, name)}\0`).update(readFileSync(name))
  }
  return hash.digest('hex')
}

/** One bootstrap at a time in one checkout (jest workers start several). A lock whose owner is dead is taken over. */
function withLock(work) {
  const lock = at('.cache', 'bootstrap.lock')
  mkdirSync(at('.cache'), { recursive: true })
  for (let waits = 0; ; waits++) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const owner = readOr(path.join(lock, 'pid'))
    // Without a pid the owner is between mkdir and writing it, or died there: 2 s decide.
    if (owner === undefined ? waits > 20 : !isAlive(Number(owner))) rmSync(lock, { recursive: true, force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    if (waits === 20) say('waiting for another bootstrap of this checkout ...')
  }
  try {
    writeFileSync(path.join(lock, 'pid'), String(process.pid))
    work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function readOr(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

const seconds = (startedAt) => `${((Date.now() - startedAt) / 1000).toFixed(1)} s`

/** Runs bootstrap and turns its error into one line and exit code 1; false when it failed. */
export function bootstrapOrExplain(options) {
  try {
    bootstrap(options)
    return true
  } catch (error) {
    say(error instanceof BootstrapError ? error.message : String(error.stack))
    process.exitCode = 1
    return false
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  bootstrapOrExplain()
