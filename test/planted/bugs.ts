/**
 * Planted bugs that the simulation must catch, each a way in which a promise was, or could have been, got wrong
 * (docs/architecture.md, Watermarks). `isQuick`: caught within few seeds, so looked for in every run of the tests.
 *
 * To add one: a phrase that says what is wrong, and the text to replace, which must stand exactly once in its file.
 */
import type { PlantedBug } from '../kit/planted.ts'

export interface SimBug extends PlantedBug {
  readonly isQuick?: true
}

export const simBugs: readonly SimBug[] = [
  {
    name: 'staleness is counted from the arrival of a mark and not from its sending',
    isQuick: true,
    change: [
      {
        file: 'regions/tracker.ts',
        find: 'node.shownSentAtMs = sentAtMs',
        put: 'node.shownSentAtMs = this.clock.now()',
      },
    ],
  },
  {
    name: 'the position of what was read is a lower bound: the newest mark that its node has shown',
    change: [
      {
        file: 'session/session.ts',
        find: "this.seen = next\n    // Only the primary's own lanes carry marks.",
        put: 'this.seen = node.shownSeq\n    this.seenTrail = 0',
      },
      { file: 'session/session.ts', find: 'this.seenTrail = lane.replyTrail', put: 'this.seenTrail = -1' },
    ],
  },
  {
    name: 'the mark before a command on its connection counts as the one behind it',
    isQuick: true,
    change: [
      {
        file: 'regions/node.ts',
        find: 'this.shownTrails[slot]! > trail',
        put: 'this.shownTrails[slot]! >= trail',
      },
    ],
  },
  {
    name: 'what was proven stays proven in a new incarnation: cached proofs after a re-attachment',
    change: [
      {
        file: 'regions/node.ts',
        find: 'this.incarnationSinceMs = now\n    this.appliedOffset = -1\n    this.shownSeq = 0\n    this.shownControlSeq = 0\n    this.shownTrails.fill(0)\n    this.shownSentAtMs = Number.NEGATIVE_INFINITY',
        put: 'this.appliedOffset = -1',
      },
      // Nor does it owe a mark after a copy: that alone would hide most of it.
      {
        file: 'regions/tracker.ts',
        find: 'else if (node.isLoading || node.isSyncing) node.owesMark = true',
        put: '',
      },
    ],
  },
  {
    name: 'reads stand behind no guard: a replica that goes back in time answers them',
    change: [{ file: 'proxy.ts', find: 'guards: new Guards({', put: 'noGuards: new Guards({' }],
  },
  {
    name: 'lost connections are not killed, so that their writes run late',
    isQuick: true,
    change: [
      {
        file: 'upstream/connection.ts',
        find: 'const dead = [...lost.ids].filter(([, runId]) => runId === this.runId)',
        put: 'const dead = [...lost.ids].filter(() => false)',
      },
    ],
  },
  {
    name: 'the clock is read once a turn of the event loop',
    change: [
      {
        file: 'base/clock.ts',
        find: 'export const systemClock: Clock = { now: () => performance.now() }',
        put: `let turn: number | undefined
export const systemClock: Clock = {
  now: () => {
    if (turn === undefined || performance.now() - turn > 300) {
      turn = performance.now()
      setImmediate(() => { turn = undefined })
    }
    return turn
  },
}`,
      },
    ],
  },
  {
    name: 'another node need not have shown what the connection has read',
    isQuick: true,
    change: [
      {
        file: 'routing/choose.ts',
        find: 'if (!isSame && !node.covers(need.seen, need.seenSlot, need.seenTrail))',
        put: 'if (isSame && !node.covers(need.seen, need.seenSlot, need.seenTrail))',
      },
    ],
  },
  {
    name: 'a strong read is a bounded one',
    isQuick: true,
    change: [
      {
        file: 'request-path.ts',
        find: 'need.level = level as LevelCode\n',
        put: 'need.level = (level === LEVEL.strong ? LEVEL.bounded : level) as LevelCode\n',
      },
    ],
  },
]
