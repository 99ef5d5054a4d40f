/** Columns for a terminal: text in, text out. */

/** Rows under their heads, each column as wide as its widest cell; cells that begin with a digit stand to the right. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[], indent = ''): string {
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const isNumeric = heads.map((_, i) => rows.length > 0 && rows.every((row) => /^[\d<>-]/.test(row[i] ?? '-')))
  const line = (cells: readonly string[]) =>
    `${indent}${cells
      .map((cell, i) => (isNumeric[i] === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')}`.trimEnd()
  return `${[heads, ...rows].map(line).join('\n')}\n`
}

/** ms for a person; `-` where nothing is known. */
export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '-'
  if (!Number.isFinite(ms)) return '>5 s'
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}
