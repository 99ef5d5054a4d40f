/**
 * What runs in a worker process: a RegisProxy that is told what to do by its supervisor, and by nobody else: signals that a
 * terminal or an init sends to the whole group are not for it. It ends with its supervisor. ~ a window: the process.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createLog, type Log } from '../base/log.ts'
import { firstClientId } from '../base/siblings.ts'
import { ConfigError } from '../config/load.ts'
import type { Prepared } from '../config/reload.ts'
import { RegisProxy } from '../proxy.ts'
import { systemTimersOfLinks } from './child.ts'
import { FenceFiles } from './fence-files.ts'
import {
  type Beat,
  beatAsk,
  drainAllTold,
  drainAsk,
  failedTold,
  helloAsk,
  isClientMessage,
  placeVariable,
  readyTold,
  reloadAsk,
  stopTold,
  takeAsk,
  takenTold,
} from './kinds.ts'
import { WorkerLink } from './link.ts'
import { answerQuestions, roundOfOthers } from './questions.ts'
import { quotaLink } from './quota-desk.ts'
import { removeScratch } from './scratch.ts'
import { KnownSiblings, siblingsTold, type WorkerPlace } from './siblings.ts'

/** Whoever asks for a reload waits for it: reading a large file, and all workers. */
const reloadMs = 120_000
const helloMs = 120_000
/** Left alone, it says goodbye for so long. */
const orphanMs = 2_000

const place = JSON.parse(process.env[placeVariable] ?? 'null') as WorkerPlace | null
if (place === null) throw new Error(`no worker: ${placeVariable} is not set`)
delete process.env[placeVariable]
await main(place)

async function main(place: WorkerPlace): Promise<void> {
  // The supervisor may have ended while this process loaded its code.
  if (!process.connected) process.exit(1)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  const link = new WorkerLink((message) => {
    if (process.connected) process.send!(message, undefined, undefined, () => {})
  }, systemTimersOfLinks)
  const siblings = new KnownSiblings(place)
  let proxy: RegisProxy | undefined
  let log: Log | undefined
  let isStarted = false
  let started: () => void = () => {}
  const whenStarted = new Promise<void>((resolve) => {
    started = resolve
  })

  process.on('message', (message, handle) => {
    if (isClientMessage(message)) {
      link.tell(takenTold, message.regisClient)
      proxy!.takeClient(message.listener, handle)
    } else link.take(message)
  })
  process.on('disconnect', () => {
    link.close('the supervisor is gone')
    log?.fatal('the supervisor is gone: ending')
    void Promise.race([proxy?.stop(), sleep(orphanMs)]).finally(() => {
      removeScratch(place.scratch)
      process.exit(1)
    })
  })
  const die = (what: string) => (error: unknown) => {
    proxy?.noteUncaught()
    log?.fatal({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, what)
    process.exit(70)
  }
  process.on('uncaughtException', die('uncaught exception'))
  process.on('unhandledRejection', die('unhandled rejection'))

  const beat = (): Beat => ({
    ...(isStarted ? { health: proxy!.health() } : {}),
    clients: proxy?.clients ?? 0,
    nextClientId: proxy?.nextClientId ?? 0,
  })
  /** What the supervisor has read: the next reload takes it. */
  let handed: Prepared | undefined
  link.handle(siblingsTold, (running) => siblings.take(running))
  link.handle(beatAsk, beat)
  link.handle(takeAsk, async ({ prepared, by }) => {
    await whenStarted
    handed = prepared
    return proxy!.reload(by)
  })
  link.handle(drainAsk, async () => {
    await whenStarted
    await proxy!.drain()
  })
  link.handle(stopTold, async () => {
    await proxy?.stop()
    process.exit(0)
  })

  const { config, version, clientsFrom, ports, clientIdsFrom } = await link.ask(helloAsk, undefined, helloMs)
  const root = createLog({
    level: config.logging.level,
    format: config.logging.format,
    fields: { region: config.region, worker: place.index },
  })
  log = root
  const quotas = quotaLink(link)
  try {
    const files = new FenceFiles(place.scratch, place.index)
    proxy = new RegisProxy({
      config,
      log: root,
      version,
      prepare: () => Promise.resolve(handed!),
      machine: {
        siblings,
        ports,
        clientsFrom,
        fences: { pages: files, seeds: files.seeds },
        others: roundOfOthers(link),
        limits: quotas,
        firstClientId: firstClientId(place.index, place.count, clientIdsFrom),
        reload: async (by, kind) => {
          try {
            return await link.ask(reloadAsk, { by, kind }, reloadMs)
          } catch (error) {
            const message = `the supervisor did not answer: ${error instanceof Error ? error.message : String(error)}`
            return { ok: false, changes: [], errors: [{ severity: 'error', file: '-', message }], warnings: [] }
          }
        },
        drain: () => link.tell(drainAllTold, undefined),
      },
    })
    answerQuestions(link, proxy)
    quotas.listen(proxy)
    await proxy.start()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    link.tell(failedTold, { message, ...(error instanceof ConfigError ? { diagnostics: error.diagnostics } : {}) })
    await proxy?.stop()
    process.exit(1)
  }
  isStarted = true
  started()
  link.tell(readyTold, beat())
}
