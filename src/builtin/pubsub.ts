/** SUBSCRIBE and its kin, PUBSUB: subscriptions of the own tenant, at this proxy. The tables: session/subscriptions.ts. */
import { errorText } from '../base/errors.ts'
import { channelPatternBytesMax } from '../base/limits.ts'
import { array, bulk, failure, integer, type Reply, simple } from '../resp/encode.ts'
import type { SubscriptionKind } from '../session/subscriptions.ts'
import type { Builtin } from './builtin.ts'

const help = [
  'PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'CHANNELS [<pattern>]',
  "    Return the currently active channels matching a <pattern> (default: '*').",
  'NUMPAT',
  '    Return number of subscriptions to patterns.',
  'NUMSUB [<channel> ...]',
  '    Return the number of subscribers for the specified channels, excluding',
  '    pattern subscriptions(default: no channels).',
  'SHARDCHANNELS [<pattern>]',
  "    Return the currently active shard level channels matching a <pattern> (default: '*').",
  'SHARDNUMSUB [<shardchannel> ...]',
  '    Return the number of subscribers for the specified shard level channel(s)',
  'HELP',
  '    Prints this help.',
]

export const pubsubBuiltins: Readonly<Record<string, Builtin>> = {
  subscribe: subscribe('c'),
  psubscribe: subscribe('p'),
  ssubscribe: subscribe('s'),
  unsubscribe: unsubscribe('c'),
  punsubscribe: unsubscribe('p'),
  sunsubscribe: unsubscribe('s'),
  'pubsub|channels': channels('c'),
  'pubsub|shardchannels': channels('s'),
  'pubsub|numsub': counts('c'),
  'pubsub|shardnumsub': counts('s'),
  'pubsub|numpat': {
    run: (_args, session, host) => integer(host.subscriptions.patterns(session.account!.tenant!)),
  },
  'pubsub|help': { run: () => array(help.map(simple)) },
}

function subscribe(kind: SubscriptionKind): Builtin {
  return {
    isStateful: true,
    run: (args, session, host) => host.subscriptions.subscribe(session, kind, args.slice(1)),
  }
}

function unsubscribe(kind: SubscriptionKind): Builtin {
  return {
    isStateful: true,
    run: (args, session, host) => host.subscriptions.unsubscribe(session, kind, args.slice(1)),
  }
}

function channels(kind: 'c' | 's'): Builtin {
  return {
    run: (args, session, host): Reply => {
      const pattern = channelPattern(args)
      if (pattern !== undefined && 'kind' in pattern) return pattern
      return array(host.subscriptions.active(session.account!.tenant!, kind, pattern).map(bulk))
    },
  }
}

/** Of PUBSUB CHANNELS; a Reply where there is nothing to look for. */
export function channelPattern(args: readonly Buffer[]): Buffer | Reply | undefined {
  if (args.length > 3) return failure(errorText('PUBSUB_SUBCOMMAND', args[1]!.toString('latin1').slice(0, 128)))
  const pattern = args[2]
  // A longer one is none that PSUBSCRIBE would take.
  return pattern !== undefined && pattern.length > channelPatternBytesMax ? array([]) : pattern
}

function counts(kind: 'c' | 's'): Builtin {
  return {
    run: (args, session, host) =>
      countsReply(
        args.slice(2),
        args.slice(2).map((name) => host.subscriptions.count(session.account!.tenant!, kind, name)),
      ),
  }
}

export function countsReply(names: readonly Buffer[], found: readonly number[]): Reply {
  return array(names.flatMap((name, i) => [bulk(name), integer(found[i]!)]))
}
