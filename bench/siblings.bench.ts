/**
 * What it costs the workers of one proxy to tell each other of writes, without sockets: an entry appended, a flush that makes it
 * visible, a look at what siblings have written, for chunks that bring session reads, and an entry taken note of. Files in memory where the
 * system has a place for them, as in production. ~ files
 */
import { mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { TenantCells } from '../src/metrics/cells.ts'
import { Fences } from '../src/regions/fences.ts'
import { SiblingWrites } from '../src/regions/sibling-writes.ts'
import { TenantState } from '../src/tenant/account.ts'
import { createFenceFiles, FenceFiles } from '../src/workers/fence-files.ts'
import { makeScratch } from '../src/workers/scratch.ts'
import type { MicroCase } from './micro.ts'

function worker(folder: string, self: number): { siblings: SiblingWrites; tenant: TenantState } {
  let mark = 1
  const fences = new Fences({ nodes: [], lanes: [], primary: () => undefined, nextSeq: () => ++mark })
  const options = {
    pages: new FenceFiles(folder, self),
    incarnation: 1,
    lanes: [],
    nextSeq: () => ++mark,
    history: () => 'run',
    hasUnsettled: () => false,
    wants: () => true,
    now: () => performance.now(),
    failed: (error: unknown) => {
      throw error
    },
  }
  const tenant = new TenantState('shop', 'shop:', new TenantCells())
  tenant.hasSessionReads = true
  return { siblings: new SiblingWrites(options, fences), tenant }
}

export function siblingCases(): MicroCase[] {
  const folder = makeScratch(Date.now())
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const cases: MicroCase[] = []
  for (const count of [2, 8]) {
    const own = mkdtempSync(path.join(folder, 'of-'))
    createFenceFiles(own, count)
    const [writer, reader] = [worker(own, 0), worker(own, 1)]
    for (let i = 2; i < count; i++) worker(own, i)
    const { log } = writer.siblings
    let key = 0
    const look = (): number => {
      reader.siblings.isFresh = false
      reader.siblings.lookFor(reader.tenant)
      return reader.siblings.fences.floor
    }
    look()
    const append = (n: number): void => {
      for (let i = 0; i < n; i++) {
        key = (key + 0x9e3779b1) >>> 0
        log.key(writer.tenant, key, key | 0)
      }
    }
    cases.push({ name: `siblings: a look, ${count} workers`, perRun: 1, run: look })
    if (count > 2) continue
    cases.push(
      {
        name: 'siblings: a write appended and told, 1 a flush',
        perRun: 1,
        run: () => {
          append(1)
          log.publish()
          return log.count
        },
      },
      {
        name: 'siblings: a write appended and told, 100 a flush',
        perRun: 100,
        run: () => {
          append(100)
          log.publish()
          return log.count
        },
      },
      {
        name: 'siblings: a write told and taken note of, 100',
        perRun: 100,
        run: () => {
          append(100)
          log.publish()
          return look()
        },
      },
    )
  }
  return cases
}
