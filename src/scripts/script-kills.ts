/**
 * Ends scripts: those that have had their time, and those that their tenant wants ended. Who runs what is running.ts; nodes are
 * asked by a function that is handed in.
 */
import type { Log } from '../base/log.ts'
import type { RunningScripts } from './running.ts'

/** How long a server may take to listen to SCRIPT KILL: its own busy-reply-threshold, 5 s by default. */
const killPatienceMs = 6_000

export interface ScriptKillsParts {
  readonly running: RunningScripts
  readonly log: Log
  readonly limitedLog: Log
  /** On a connection of its own: the standing ones may be held up by the script. As regions/ask-once.ts; never rejects. */
  ask(node: number, command: readonly string[], patienceMs: number): Promise<string>
}

export class ScriptKills {
  private readonly parts: ScriptKillsParts
  /** Nodes that are being told to end a script. */
  private readonly killing = new Set<number>()

  constructor(parts: ScriptKillsParts) {
    this.parts = parts
  }

  /** Scripts that have had their time are ended, where the server can still do that. */
  killOverdue(nowMs: number, budgetMs: number): void {
    const { running, log, limitedLog } = this.parts
    for (const { nodeIndex, tenant } of running.overdue(nowMs, budgetMs)) {
      if (this.killing.has(nodeIndex)) continue
      void this.killOn(nodeIndex).then((answer) => {
        if (answer === 'OK') log.warn({ tenant }, 'a script was ended: it ran longer than limits.script_time')
        else if (answer.startsWith('UNKILLABLE'))
          limitedLog.warn(
            { tenant },
            'a script that has written runs longer than limits.script_time: nobody can end it',
          )
      })
    }
  }

  /** The script that this tenant runs on one of these nodes: OK, or the server's error. undefined: it runs none. */
  async killOf(tenant: string | undefined, nodes: readonly number[]): Promise<string | undefined> {
    const node = nodes.find((index) => this.parts.running.current(index)?.tenant === tenant)
    if (node === undefined || tenant === undefined) return undefined
    const answer = await this.killOn(node)
    return answer.startsWith('NOTBUSY') ? undefined : answer
  }

  private async killOn(node: number): Promise<string> {
    const { ask, running } = this.parts
    this.killing.add(node)
    try {
      let answer = await ask(node, ['SCRIPT', 'KILL'], killPatienceMs)
      // A function runs: it has a verb of its own.
      if (answer.startsWith('BUSY')) answer = await ask(node, ['FUNCTION', 'KILL'], killPatienceMs)
      if (answer === 'OK' || answer.startsWith('NOTBUSY') || answer.includes('ECONNREFUSED')) running.settle(node)
      return answer
    } finally {
      this.killing.delete(node)
    }
  }
}
