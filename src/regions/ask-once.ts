/** One question to a node on a connection of its own, for when the standing ones may be held up: SCRIPT KILL. */
import type { NodeAddress } from './node.ts'
import { systemTimers } from './timers.ts'
import { textOf, Wire } from './wire.ts'

/** The reply as text, or the error's text, or why there was none. Never rejects. */
export function askOnce(
  address: NodeAddress,
  name: string,
  command: readonly string[],
  timeoutMs: number,
): Promise<string> {
  return new Promise((resolve) => {
    const finish = (text: string): void => {
      timer.cancel()
      wire.stop()
      resolve(text)
    }
    const wire = new Wire(
      address,
      { name, timeoutMs, timers: systemTimers, random: Math.random },
      {
        open: (redis) => {
          const [word, ...args] = command
          redis.call(word!, ...args).then(
            (reply) => finish(String(reply)),
            (error: unknown) => finish(textOf(error)),
          )
        },
        lost: (reason) => finish(reason),
      },
    )
    const timer = systemTimers.after(timeoutMs, () => finish('no answer within the timeout'))
    wire.start()
  })
}
