/**
 * Planted bugs: a checker is worth what it catches. A bug is a piece of src/ replaced by another; the piece must be there
 * exactly once, so a bug that has lost its place fails loudly instead of planting nothing. Regis is started from a copy of
 * dist/ in which that one file is compiled anew (`plant`); the simulation is handed the changed texts (`changedFiles`).
 *
 * The copies lie in .cache/planted/, below package.json and node_modules/, where they find both.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { transformSync } from '@swc/core'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import { atEnd } from './servers.ts'

export interface Replacement {
  /** Below src/. */
  readonly file: string
  readonly find: string
  readonly put: string
}

export interface PlantedBug {
  /** What is wrong now, as a phrase: it is a test's name. */
  readonly name: string
  readonly change: readonly Replacement[]
}

/** The text with its bug. Throws when a piece is not there exactly once. */
export function withBug(text: string, { file, find, put }: Replacement): string {
  const parts = text.split(find)
  if (parts.length !== 2)
    throw new Error(`planted bug: ${JSON.stringify(find)} is ${parts.length - 1} times in src/${file}, not once`)
  return parts.join(put)
}

/** By file: its text with all the bug's changes. */
export function changedFiles(bug: PlantedBug): Map<string, string> {
  const changed = new Map<string, string>()
  for (const change of bug.change) {
    const text = changed.get(change.file) ?? readFileSync(path.join(projectRoot, 'src', change.file), 'utf8')
    changed.set(change.file, withBug(text, change))
  }
  return changed
}

/** The root of a checkout with this bug: for StartProxyOptions.root. Removed after the tests of this file. */
export function plant(bug: PlantedBug): string {
  const changed = changedFiles(bug)
  freshDist()
  const folder = newFolder()
  cpSync(path.join(projectRoot, 'dist'), path.join(folder, 'dist'), { recursive: true })
  cpSync(path.join(projectRoot, 'package.json'), path.join(folder, 'package.json'))
  for (const [file, text] of changed) {
    const { code } = transformSync(text, {
      filename: file,
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    })
    const to = path.join(folder, 'dist', file.replace(/\.ts$/, '.js'))
    if (!existsSync(to)) throw new Error(`planted bug: dist/ has no ${file}`)
    writeFileSync(to, code.replace(/(from |import\()(['"]\.[^'"]*)\.ts(['"])/g, '$1$2.js$3'))
  }
  mkdirSync(path.join(folder, 'bin'))
  writeFileSync(
    path.join(folder, 'bin/regis'),
    "const { main } = await import('../dist/cli/main.js')\nprocess.exitCode = await main(process.argv)\n",
  )
  return folder
}

function newFolder(): string {
  const all = path.join(projectRoot, '.cache/planted')
  mkdirSync(all, { recursive: true })
  const folder = mkdtempSync(path.join(all, 'bug-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** dist/ is built from src/ as it is, once a process; bin/regis does it when it is started. */
let isFresh = false
function freshDist(): void {
  if (isFresh) return
  const { status, stderr } = spawnSync(process.execPath, [path.join(projectRoot, 'bin/regis'), 'version'], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`bin/regis: ${stderr}`)
  isFresh = true
}
