/**
 * One view of several workers' views of the same thing: what the admin API and PROXY SHOW tell of a proxy with `--workers`.
 * Pure. Numbers add up, but for those that every worker sees for itself; rows of lists are joined by what names them.
 */

import { overloadStates } from '../quota/overload.ts'

type Rule = 'sum' | 'max' | 'min'

/** By the name of the field; numbers that are not here add up. Percentiles: none of all is above the largest of theirs. */
const numberRules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    [
      ...['uptime_seconds', 'epoch', 'p50', 'p99', 'rtt_ms', 'staleness_ms', 'lag_bytes', 'paused_ms', 'limit'],
      ...['memory_bytes', 'memory_error_bytes', 'keys', 'memory_used', 'held_tenants', 'database', 'databases'],
      ...['known', 'needed', 'config_epoch'],
    ].map((name) => [name, 'max' as const]),
  ),
  ...Object.fromEntries(['memory_age_seconds', 'watermark', 'heard'].map((name) => [name, 'min' as const])),
}
/** True only when all say so; others when one does. */
const allSay = new Set(['up', 'readable'])
/** What names a row of a list, where it has it. */
const names = [
  'id',
  'tenant',
  'region',
  'node',
  'quota',
  'from_region',
  'to_region',
  'reason',
  'sentinel',
  'host',
  'port',
]

/** Of all that answered, in the order of the workers; the first says what cannot be joined. */
export function mergeViews(views: readonly unknown[]): unknown {
  return merged('', views, undefined)
}

function merged(field: string, all: readonly unknown[], row: Readonly<Record<string, unknown>> | undefined): unknown {
  const values = all.filter((value) => value !== undefined && value !== null)
  const first = values[0]
  if (first === undefined) return all[0]
  if (typeof first === 'number') return mergedNumber(field, values as number[], row)
  if (typeof first === 'boolean')
    return allSay.has(field) ? values.every((value) => value === true) : values.includes(true)
  if (Array.isArray(first)) return mergedRows(values as unknown[][])
  if (typeof first === 'object') return mergedObject(values as Readonly<Record<string, unknown>>[])
  // Of several states of overload the worst is told.
  if (field === 'state')
    return overloadStates[Math.max(...values.map((value) => overloadStates.indexOf(value as never)))]
  return first
}

function mergedNumber(
  field: string,
  values: readonly number[],
  row: Readonly<Record<string, unknown>> | undefined,
): number {
  // One figure that all know, of what a tenant has in Redis.
  const isCommon = field === 'used' && (row?.['quota'] === 'memory' || row?.['quota'] === 'keys')
  const rule = isCommon ? 'max' : (numberRules[field] ?? 'sum')
  if (rule === 'max') return Math.max(...values)
  if (rule === 'min') return Math.min(...values)
  return Math.round(values.reduce((a, b) => a + b, 0) * 1000) / 1000
}

function mergedObject(objects: readonly Readonly<Record<string, unknown>>[]): object {
  const fields = new Set(objects.flatMap((object) => Object.keys(object)))
  return Object.fromEntries(
    [...fields].map((field) => [
      field,
      merged(
        field,
        objects.map((object) => object[field]),
        objects[0],
      ),
    ]),
  )
}

function mergedRows(lists: readonly (readonly unknown[])[]): unknown[] {
  const rows = new Map<string, Readonly<Record<string, unknown>>[]>()
  for (const list of lists) {
    for (const row of list) {
      if (typeof row !== 'object' || row === null) return [...lists[0]!]
      const fields = row as Readonly<Record<string, unknown>>
      const name = JSON.stringify(names.map((field) => fields[field]))
      const there = rows.get(name)
      if (there === undefined) rows.set(name, [fields])
      else there.push(fields)
    }
  }
  return [...rows.values()].map((same) => (same.length === 1 ? same[0] : mergedObject(same)))
}
