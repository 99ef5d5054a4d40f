/**
 * The cursors of SCAN that a tenant gets: a decimal that holds the server's cursor and a check, enciphered under a key
 * that only this tenant on this run of this server has. Pure; the proxy keeps nothing, and any proxy understands them.
 *
 *   52 bits = Feistel( check: 16 bits of zero (or 1) | server cursor: 36 bits ), key = sha256(run_id, tenant)
 *
 * Why enciphered: the server's own cursor shows the size of its table, which holds all tenants' keys. The key is made of
 * the server's run_id, 160 random bits that every proxy learns and no tenant: nothing to configure, and it changes when
 * the server restarts, which is when its cursors lose their meaning. Which node a cursor belongs to is found by trying.
 *
 * Why 36 bits are enough: Redis counts in the reversed bits below its table's mask (dict.c, dictScan), so a cursor is
 * never above the mask; 2^36 buckets are half a terabyte of pointers alone. Why 52 and not 63: clients in languages
 * whose numbers are doubles read cursors as numbers. A forged cursor passes the check once in 32,768 times, and then walks
 * the forger's own names from a place that says nothing.
 */
import { createHash } from 'node:crypto'

const cursorBits = 36n
export const serverCursorMax = (1n << cursorBits) - 1n
const half = 26n
const halfMask = (1n << half) - 1n
const limit = 1n << (2n * half)
/** Luby and Rackoff: four rounds hide everything from who may ask for both directions. */
const rounds = 4

function keyOf(runId: string, tenant: string): Buffer {
  return createHash('sha256').update(`regis scan\0${runId}\0${tenant}`).digest()
}

function mix(key: Buffer, round: number, value: bigint): bigint {
  const hash = createHash('sha256').update(key).update(`${round}:${value}`).digest()
  return BigInt(hash.readUInt32BE(0)) & halfMask
}

function encipher(key: Buffer, value: bigint): bigint {
  let left = value >> half
  let right = value & halfMask
  for (let round = 0; round < rounds; round++) [left, right] = [right, left ^ mix(key, round, right)]
  return (left << half) | right
}

function decipher(key: Buffer, value: bigint): bigint {
  let left = value >> half
  let right = value & halfMask
  for (let round = rounds - 1; round >= 0; round--) [left, right] = [right ^ mix(key, round, left), left]
  return (left << half) | right
}

/** The tenant's cursor for a server's; undefined for one above 36 bits. 0, the end, stays 0. */
export function encodeCursor(server: bigint, runId: string, tenant: string): string | undefined {
  if (server === 0n) return '0'
  if (server < 0n || server > serverCursorMax) return undefined
  const key = keyOf(runId, tenant)
  // 0 means the end: should it come out, the second check is used.
  const first = encipher(key, server)
  return String(first === 0n ? encipher(key, server | (1n << cursorBits)) : first)
}

/** Which of these servers a cursor is of, and what it is there; undefined: of none, or another tenant's, or made up. */
export function decodeCursor(
  text: string,
  runIds: readonly string[],
  tenant: string,
): { readonly node: number; readonly server: bigint } | undefined {
  if (!/^[1-9]\d{0,15}$/.test(text)) return undefined
  const value = BigInt(text)
  if (value >= limit) return undefined
  for (let node = 0; node < runIds.length; node++) {
    if (runIds[node] === '') continue
    const plain = decipher(keyOf(runIds[node]!, tenant), value)
    if (plain >> cursorBits <= 1n) return { node, server: plain & serverCursorMax }
  }
  return undefined
}
