/**
 * What the tracker needs from the connections to one node, and what they tell it. Types only, so that the tracker can be
 * tested with fakes and knows no socket. The real ones: node-link.ts.
 */

import type { ReplicationFacts, ServerFacts } from './info.ts'
import type { NodeAddress } from './node.ts'

/** One round of questions on the control connection. */
export interface ProbeRound {
  /** Our clock just before the questions were written: what the answers say was true at that moment or later. */
  readonly sentAtMs: number
  readonly rttMs: number
  /**
   * ok; loading and masterdown as PING was refused with; busy: a script blocks the server, which says nothing about
   * its role or data, so the other facts are absent.
   */
  readonly state: 'ok' | 'loading' | 'masterdown' | 'busy'
  readonly replication?: ReplicationFacts
  /** In the first round of a connection only: neither can change while it lives. */
  readonly server?: ServerFacts
}

export interface LinkEvents {
  answered(round: ProbeRound): void
  /** The control connection could not be opened, was closed, or did not answer in time. It is being opened again. */
  lost(reason: string): void
  /** Subscribed, on a new connection: what is shown from now on is shown to us. */
  listening(): void
  deaf(reason: string): void
  mark(text: string): void
  /** What COMMAND answered; undefined: this user may not ask. */
  commands(reply: unknown): void
  /** The connection for marks is open; each opening is a new lane. */
  marksReady(): void
  marksLost(reason: string): void
  /** The server answered a mark with an error: it was not published. */
  markRefused(reason: string): void
}

export interface NodeLink {
  start(): void
  stop(): void
  /** Ask now, or right after the answer that is being waited for. No-op while not connected. */
  probeNow(): void
  /** Ask for the server's commands, on a connection of its own; `commands` tells them once. */
  askCommands(): void
  /** Keep a connection for marks open from now on, until `closeMarks`. Until then none that is shown come from there. */
  openMarks(): void
  closeMarks(): void
  /** False when nothing was written. */
  sendMark(text: string): boolean
}

export type OpenLink = (address: NodeAddress, channel: string, events: LinkEvents) => NodeLink
