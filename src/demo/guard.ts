/**
 * Sees to it that nothing outlives this process: a shell that waits at the end of a pipe only we hold, and kills the pids
 * it was told, by number, when the pipe closes. That happens however this process ends, SIGKILL included.
 * ~ touches child processes. It does not stop anything while we live: the owners of servers do.
 *
 *   this process ---- "+ 4711", "- 4711", "d /tmp/regis-x" ----> sh: at end of file kill -9 the pids, rm -rf the folders
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

const script = `
trap '' HUP INT TERM
pids=' '
while read -r op what; do
  case $op in
    +) pids="$pids$what " ;;
    -) case $pids in *" $what "*) pids="\${pids%%" $what "*} \${pids#*" $what "}" ;; esac ;;
    d) set -- "$@" "$what" ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
sleep 0.2
for folder in "$@"; do rm -rf -- "$folder"; done
`

let shell: ChildProcess | undefined

function tell(line: string): void {
  if (shell === undefined || shell.exitCode !== null) {
    // A session of its own: a Ctrl-C at the terminal, or a kill of our process group, does not reach it.
    shell = spawn('/bin/sh', ['-c', script, 'regis-guard'], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    shell.unref()
    shell.on('error', () => {})
    shell.stdin?.on('error', () => {})
    if (shell.stdin instanceof Socket) shell.stdin.unref()
  }
  shell.stdin?.write(`${line}\n`)
}

/** From now on this child does not outlive us. Forgotten again when it exits, since its pid may then be another's. */
export function guardChild(child: ChildProcess): void {
  const pid = child.pid
  if (pid === undefined) return
  tell(`+ ${pid}`)
  child.once('exit', () => tell(`- ${pid}`))
}

/** This folder is removed when we are gone, if its owner has not done it before. Only folders of ours in the temp folder. */
export function guardFolder(folder: string): void {
  const name = path.relative(tmpdir(), folder)
  if (!/^regis-[^/]+$/.test(name)) throw new Error(`not a temporary folder of ours: ${folder}`)
  tell(`d ${folder}`)
}
