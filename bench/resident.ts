/** Memory that a process holds, from the kernel. Linux. ~ reads /proc. */
import { readFileSync } from 'node:fs'

/** Bytes: now, and the most since it started. */
export function residentBytes(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { now: of('VmRSS'), peak: of('VmHWM') }
}
