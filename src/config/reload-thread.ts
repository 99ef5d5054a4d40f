/**
 * Reads and compares a configuration in a thread of its own: a file with ten thousand tenants takes seconds, in which no
 * client may wait. The thread lives for one file and hands back plain data. ~ a window: starts a thread.
 *
 *   main: what runs, a batch a slice --> thread: load, compare --> what it found, a batch each time that main asks for the next
 *
 * What is handed over is copied, in the event loop, so it goes in batches of a millisecond or less. Of tenants that have not
 * changed their place in the running configuration is told, and the very same objects go on.
 *
 * From sources (tests) it is done in place: a thread cannot run TypeScript.
 */
import { on, once } from 'node:events'
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads'
import { Slices } from '../base/slices.ts'
import type { Change } from './changes.ts'
import type { Config, TenantConfig } from './config.ts'
import type { Diagnostic } from './diagnostics.ts'
import type { LoadOptions } from './load.ts'
import { type Prepared, prepareReload } from './reload.ts'

interface Task {
  readonly isReloadOfRegis: true
  readonly file: string
  readonly options: LoadOptions
  /** Its tenants follow, in batches. */
  readonly running: Config
  readonly tenants: number
}

/** What is told of a tenant: its place in the running configuration, or all of it. */
type Told = TenantConfig | number

interface Batch {
  /** Of the new configuration without its tenants, in the first batch, if there is one. */
  readonly config?: Config
  readonly files?: readonly string[]
  readonly tenants: Told[]
  readonly changes: Change[]
  readonly errors: Diagnostic[]
  readonly warnings: Diagnostic[]
  readonly isLast: boolean
}

/** Tenants, changes or lines that are copied in one go: some ten microseconds each. */
const batchMost = 50
/** Places of tenants. */
const placesMost = 5_000

export async function prepareApart(file: string, options: LoadOptions, running: Config): Promise<Prepared> {
  if (!import.meta.url.endsWith('.js')) return prepareReload(file, options, running)
  const { tenants } = running
  const task: Task = {
    isReloadOfRegis: true,
    file,
    options: { ...options, env: { ...options.env } },
    running: { ...running, tenants: [] },
    tenants: tenants.length,
  }
  const worker = new Worker(new URL(import.meta.url), { workerData: task })
  const failed = new Promise<never>((_, reject) => {
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the thread that reads the configuration ended without an answer')))
  })
  failed.catch(() => {})
  const slices = new Slices()
  // Listened to from now on: an answer that nobody listens for is lost.
  const answer = Promise.race([collect(worker, tenants, slices), failed])
  answer.catch(() => {})
  for (let at = 0; at < tenants.length; at += batchMost) {
    worker.postMessage(tenants.slice(at, at + batchMost))
    if (slices.isOver) await slices.rest()
  }
  return answer
}

async function collect(worker: Worker, running: readonly TenantConfig[], slices: Slices): Promise<Prepared> {
  let config: Config | undefined
  let files: readonly string[] = []
  const tenants: TenantConfig[] = []
  const [changes, errors, warnings]: [Change[], Diagnostic[], Diagnostic[]] = [[], [], []]
  for (;;) {
    const [batch] = (await once(worker, 'message')) as [Batch]
    config ??= batch.config
    files = batch.files ?? files
    for (const told of batch.tenants) tenants.push(typeof told === 'number' ? running[told]! : told)
    changes.push(...batch.changes)
    errors.push(...batch.errors)
    warnings.push(...batch.warnings)
    if (batch.isLast) break
    await slices.rest()
    worker.postMessage('next')
  }
  return { ...(config === undefined ? {} : { config: { ...config, tenants } }), changes, errors, warnings, files }
}

/** In the thread. */
function* batches(prepared: Prepared, running: readonly TenantConfig[]): Generator<Batch> {
  const { config, files } = prepared
  const places = new Map(running.map((tenant, i) => [tenant, i]))
  const told: Told[] = (config?.tenants ?? []).map((tenant) => places.get(tenant) ?? tenant)
  const parts = [prepared.changes, prepared.errors, prepared.warnings] as const
  let isFirst = true
  let at = 0
  let row = 0
  const rows = Math.max(...parts.map((part) => part.length))
  do {
    const tenants: Told[] = []
    for (let whole = 0; at < told.length && tenants.length < placesMost && whole < batchMost; at++) {
      if (typeof told[at] !== 'number') whole++
      tenants.push(told[at]!)
    }
    const [changes, errors, warnings] = parts.map((part) => part.slice(row, row + batchMost)) as [
      Change[],
      Diagnostic[],
      Diagnostic[],
    ]
    row += batchMost
    const first = isFirst ? { files, ...(config === undefined ? {} : { config: { ...config, tenants: [] } }) } : {}
    isFirst = false
    yield { ...first, tenants, changes, errors, warnings, isLast: at >= told.length && row >= rows }
  } while (at < told.length || row < rows)
}

async function runTask(port: MessagePort, { file, options, running, tenants }: Task): Promise<void> {
  const messages = on(port, 'message')
  const all: TenantConfig[] = []
  while (all.length < tenants) all.push(...((await messages.next()).value as [TenantConfig[]])[0])
  for (const batch of batches(prepareReload(file, options, { ...running, tenants: all }), all)) {
    port.postMessage(batch)
    if (!batch.isLast) await messages.next()
  }
  port.close()
}

const task = workerData as Partial<Task> | null
if (!isMainThread && task?.isReloadOfRegis === true) void runTask(parentPort!, task as Task)
