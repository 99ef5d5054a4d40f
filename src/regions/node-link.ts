/**
 * The connections to one node, joined: a probe always, a subscriber while the probe is connected (so that a node that is
 * away is tried by one connection, not three), a mark sender while the tracker wants one, and for a moment one that asks
 * for the commands.
 *
 * A node that marks are sent to need not show them to us: what it has is what it says. So there it is one or the other, and
 * each mark costs the primary, and the way from it, one message less (docs/decisions/0022).
 */
import { CommandAsker } from './command-asker.ts'
import type { LinkEvents, NodeLink } from './link.ts'
import { MarkSender } from './mark-sender.ts'
import type { NodeAddress } from './node.ts'
import { Probe, type ProbeOptions } from './probe.ts'
import { Subscriber } from './subscriber.ts'

export function openNodeLink(
  address: NodeAddress,
  channel: string,
  events: LinkEvents,
  options: ProbeOptions,
): NodeLink {
  const subscriber = new Subscriber(address, channel, options, {
    listening: () => events.listening(),
    mark: (text) => events.mark(text),
    deaf: (reason) => events.deaf(reason),
  })
  const sender = new MarkSender(address, channel, options, {
    ready: () => events.marksReady(),
    lost: (reason) => events.marksLost(reason),
    refused: (reason) => events.markRefused(reason),
  })
  const asker = new CommandAsker(address, options, (reply) => events.commands(reply))
  let isConnected = false
  let isSending = false
  const hear = (): void => {
    if (isConnected && !isSending) subscriber.start()
    else subscriber.stop()
  }
  const probe = new Probe(address, options, {
    open: () => {
      isConnected = true
      hear()
    },
    answered: (round) => events.answered(round),
    lost: (reason) => {
      isConnected = false
      hear()
      asker.stop()
      events.deaf(reason)
      events.lost(reason)
    },
  })
  return {
    start: () => probe.start(),
    stop: () => {
      isConnected = false
      probe.stop()
      subscriber.stop()
      sender.stop()
      asker.stop()
    },
    askCommands: () => asker.start(),
    probeNow: () => probe.probeNow(),
    openMarks: () => {
      isSending = true
      sender.start()
      hear()
    },
    closeMarks: () => {
      isSending = false
      sender.stop()
      hear()
    },
    sendMark: (text) => sender.send(text),
  }
}
