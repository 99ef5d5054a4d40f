/**
 * A folder for what workers share by files: in memory where the system has such a place, for this user alone. ~ a window: files.
 * It is made at start and taken away at the end, by the workers where the supervisor was killed. One of a machine whose
 * processes were all killed at once stays for a day, then the next start takes it away.
 */
import { accessSync, constants, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const prefix = 'regis-workers-'
/** A living one is touched more often than this. */
export const scratchTouchMs = 60 * 60_000
const staleMs = 24 * 60 * 60_000

export function makeScratch(nowMs: number, places: readonly string[] = ['/dev/shm', tmpdir()]): string {
  const place = places.find(isWritable) ?? tmpdir()
  takeAwayStale(place, nowMs)
  return mkdtempSync(path.join(place, prefix))
}

/** It is in use. */
export function touchScratch(folder: string, nowMs: number): void {
  try {
    utimesSync(folder, nowMs / 1000, nowMs / 1000)
  } catch {
    // Somebody took it away: who needs it says so.
  }
}

export function removeScratch(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true })
  } catch {
    // It is taken away by a later start.
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

function takeAwayStale(place: string, nowMs: number): void {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(prefix)) continue
    const folder = path.join(place, name)
    try {
      const { mtimeMs, uid } = statSync(folder)
      if (uid === process.getuid?.() && nowMs - mtimeMs > staleMs) removeScratch(folder)
    } catch {
      // It is gone already.
    }
  }
}
