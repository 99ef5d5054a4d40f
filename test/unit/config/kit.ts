/** A good file, and the text of everything that is said about a bad one. */
import { formatDiagnostic, type LoadOptions, parseConfig } from '../../../src/config/load.ts'

export const good = `region: eu
primary: eu
regions:
  eu: { nodes: [redis://eu-1:6379] }
  us: { nodes: [redis://us-1:6379] }
tenants:
  shop:
    users:
      shop-app: { password: demo }
`

export function load(text: string, options: Partial<LoadOptions> = {}) {
  return parseConfig(text, { file: 'proxy.yaml', env: {}, ...options })
}

/** Errors, then warnings, as `regis check` writes them. */
export function said(text: string, options: Partial<LoadOptions> = {}): string {
  const { errors, warnings } = load(text, options)
  return [...errors, ...warnings].map(formatDiagnostic).join('\n')
}
