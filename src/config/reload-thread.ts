/**
 * Reads and compares a configuration in a thread of its own: a file with ten thousand tenants takes seconds, in which no
 * client may wait. The thread lives for one file and hands back plain data. ~ a window: starts a thread.
 *
 * From sources (tests) it is done in place: a thread cannot run TypeScript.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Config } from './config.ts'
import type { LoadOptions } from './load.ts'
import { type Prepared, prepareReload } from './reload.ts'

interface Task {
  readonly isReloadOfRegis: true
  readonly file: string
  readonly options: LoadOptions
  readonly running: Config
}

export async function prepareApart(file: string, options: LoadOptions, running: Config): Promise<Prepared> {
  if (!import.meta.url.endsWith('.js')) return prepareReload(file, options, running)
  const task: Task = { isReloadOfRegis: true, file, options: { ...options, env: { ...options.env } }, running }
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the thread that reads the configuration ended without an answer')))
  })
}

const task = workerData as Partial<Task> | null
if (!isMainThread && task?.isReloadOfRegis === true) {
  parentPort?.postMessage(prepareReload(task.file!, task.options!, task.running!))
}
