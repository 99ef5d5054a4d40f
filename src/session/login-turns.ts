/**
 * Logins that come at once, after a failover or a restart, are taken a few in a turn of the event loop, first come first served:
 * each costs a digest, and the first of its tenant all that the tenant needs. Who waits has nothing parsed meanwhile.
 */
import { loginsPerTurn } from '../base/limits.ts'

export class LoginTurns {
  private left = loginsPerTurn
  private isPlanned = false
  private waiting: (() => void)[] = []
  private readonly soon: (run: () => void) => void

  /** `soon`: in a later turn. */
  constructor(soon: (run: () => void) => void) {
    this.soon = soon
  }

  /** True: now. Else it is told when. */
  take(): boolean {
    if (this.left === 0 || this.waiting.length > 0) return false
    this.left--
    this.plan()
    return true
  }

  wait(): Promise<void> {
    this.plan()
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  private plan(): void {
    if (this.isPlanned) return
    this.isPlanned = true
    this.soon(() => {
      this.isPlanned = false
      this.left = loginsPerTurn
      if (this.waiting.length === 0) return
      const next = this.waiting.slice(0, loginsPerTurn)
      this.waiting = this.waiting.slice(loginsPerTurn)
      this.left -= next.length
      for (const resolve of next) resolve()
      if (this.waiting.length > 0 || this.left === 0) this.plan()
    })
  }
}
