/** Reading a document by key: what is there, of the right kind, and readable; else undefined. Pure. */
import { closest } from './diagnostics.ts'
import type { Entry, ListNode, MapNode, Node, ScalarNode, Span } from './document.ts'

export function entryAt(node: Node | undefined, key: string): Entry | undefined {
  return node?.kind === 'map' ? node.entries.get(key) : undefined
}
export function mapAt(node: Node | undefined, key: string): MapNode | undefined {
  const found = entryAt(node, key)?.node
  return found?.kind === 'map' ? found : undefined
}
export function listAt(node: Node | undefined, key: string): ListNode | undefined {
  const found = entryAt(node, key)?.node
  return found?.kind === 'list' ? found : undefined
}
export function textAt(node: Node | undefined, key: string): ScalarNode | undefined {
  return asText(entryAt(node, key)?.node)
}
export function asText(node: Node | undefined): ScalarNode | undefined {
  return node?.kind === 'scalar' && !node.empty && !node.failed && node.text !== '' ? node : undefined
}
export function hasFailed(node: Node | undefined, key: string): boolean {
  const found = entryAt(node, key)?.node
  return found?.kind === 'scalar' && found.failed
}
/** Written down, be it rightly or not. */
export function has(node: MapNode, key: string): boolean {
  const found = node.entries.get(key)?.node
  return found !== undefined && !(found.kind === 'scalar' && found.empty && !found.failed)
}
/** `pasword` was reported as such; that a password is missing would be the same again. */
export function hasMisspelt(node: MapNode): boolean {
  return [...node.entries.keys()].some(
    (key) => closest(key, ['password', 'password_hash']) !== undefined && has(node, key),
  )
}
export function spanOf(node: Span): Span {
  return { start: node.start, end: node.end }
}
