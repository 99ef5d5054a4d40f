/** A secret is in no diagnostic and in no print, wherever it stands in the file and whatever else is wrong with it. */
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { formatDiagnostic, parseConfig, redactedConfig } from '../../src/config/load.ts'

const settings = { numRuns: Number(process.env['RUNS'] ?? 400) }

/** Long enough not to be a word of the file; with signs that YAML, URLs and regular expressions care about. */
const secret = fc
  .tuple(fc.string({ unit: fc.constantFrom(...'abXY09_-+=/%!$&(){}[]?*^~|;,.<>:@# '), minLength: 8, maxLength: 24 }))
  .map(([text]) => `S${text.trim()}S`)

const quoted = (text: string) => JSON.stringify(text)
const bare = (text: string) => text
const single = (text: string) => `'${text}'`
const block = (text: string) => `|\n          ${text}`
const dangling = (text: string) => `"${text}`
const list = (text: string) => `[${quoted(text)}, x]`

/** Each line may hold the secret at `@@`. */
const files = [
  'tenants:\n  shop:\n    users:\n      app:\n        password: @@\n',
  'tenants:\n  shop:\n    users:\n      app:\n        pasword: @@\n',
  'tenants:\n  shop:\n    users:\n      app:\n        Password: @@\n        access: x\n',
  'tenants:\n  shop:\n    users:\n      app:\n        password_hash: @@\n',
  'tenants:\n  shop:\n    users:\n      app: @@\n',
  'tenants:\n  shop:\n    users: { app: { password: @@ } }\n',
  'tenants:\n  shop:\n    users: { app: { password: @@, acess: no } }\n',
  'tenants:\n  shop:\n    users:\n      app:\n        password:\n          - @@\n          - a: b\n',
  'admin: { address: 0.0.0.0:1, token: @@ }\n',
  'admin:\n  address: nowhere\n  token: @@\n',
  'upstream:\n  password: @@\n  timeout: 5\n',
  'upstream:\n  passwd: @@\n',
  'operators:\n  ops: { password: @@ }\n',
  'operators: @@\n',
  'regions:\n  eu:\n    nodes: [redis://eu, "redis://u:@@@h:99999"]\n',
  'regions:\n  eu:\n    nodes:\n      - url: redis://u:@@@h:1\n        ca: /nope\n',
  'regions:\n  eu:\n    nodes:\n      - rediss://:@@@eu-1:6379/3\n',
]
const styles = [quoted, bare, single, block, dangling, list]

/** The rest of the file, and an error somewhere else in it. */
const rest = [
  'region: eu\nprimary: eu\n',
  'region: eu\nprimry: eu\n',
  'region: "eu\n',
  'region: ${NOPE}\nprimary: mars\n',
  '',
]

function everything(text: string, env: Record<string, string> = {}): string {
  const { config, errors, warnings } = parseConfig(text, { file: 'proxy.yaml', env })
  const shown = [...errors, ...warnings].map(formatDiagnostic)
  if (config !== undefined) shown.push(stringify(redactedConfig(config)), JSON.stringify(redactedConfig(config)))
  return [...shown, JSON.stringify(errors), JSON.stringify(warnings)].join('\n')
}

/** Eight characters of it in a row are too much already. */
function leaks(text: string, hidden: string): boolean {
  for (let i = 0; i + 8 <= hidden.length; i++) if (text.includes(hidden.slice(i, i + 8))) return true
  return false
}

test('written into the file, in any style, beside any other mistake', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.constantFrom(...styles),
      fc.constantFrom(...rest),
      secret,
      (file, style, more, hidden) => {
        const text =
          file.includes('redis://') || file.includes('rediss://') ? hidden.replace(/[\s"]/g, '') : style(hidden)
        fc.pre(!/^[\s#]/.test(hidden.slice(1)) && !(style === bare && / #|: /.test(hidden)))
        expect(leaks(everything(`${more}${file.replace('@@', () => text)}`), hidden)).toBe(false)
      },
    ),
    settings,
  )
})

test('a comma, and what YAML makes of the rest, shows nothing of it', () => {
  const file = 'region: eu\nprimary: eu\ntenants:\n  shop:\n    users: { app: { password: S,&aaaaaaaaS, acess: no } }\n'
  expect(leaks(everything(file), 'S,&aaaaaaaaS')).toBe(false)
})

test('from the environment, at any key whatever', () => {
  const keys = ['timeout', 'connections', 'username', 'password', 'ca', 'strict', 'acl', 'nothing']
  fc.assert(
    fc.property(fc.constantFrom(...keys), fc.constantFrom(...rest), (key, more) => {
      const hidden = randomBytes(12).toString('base64url')
      const text = `${more}upstream: { ${key}: "x\${SECRET}" }\nlimits: { output: "\${SECRET}" }\nregions: { eu: { nodes: ["redis://u:\${SECRET}@h:x", "redis://u:\${SECRET}@h"] } }\n`
      expect(leaks(everything(text, { SECRET: hidden }), hidden)).toBe(false)
    }),
    { ...settings, numRuns: 80 },
  )
})

test('the effective configuration of a good file holds none of its secrets', () => {
  fc.assert(
    fc.property(fc.array(secret, { minLength: 5, maxLength: 5 }), ([a, b, c, d, e]) => {
      const text = `region: eu
primary: eu
regions: { eu: { nodes: [${quoted(`redis://u:${encodeURIComponent(a!)}@h`)}] } }
upstream: { password: ${quoted(b!.replaceAll('$', '.'))} }
admin: { token: ${quoted(c!.replaceAll('$', '.'))} }
tenants: { t: { users: { u: { password: [${quoted(d!.replaceAll('$', '.'))}] } } } }
operators: { o: { password: ${quoted(e!.replaceAll('$', '.'))} } }
`
      const { config, errors } = parseConfig(
        text.replace(encodeURIComponent(a!), () => encodeURIComponent(a!).replaceAll('$', '.')),
        { file: 'proxy.yaml', env: {} },
      )
      expect(errors).toEqual([])
      const shown = JSON.stringify(redactedConfig(config!))
      for (const hidden of [a, b, c, d, e]) {
        expect(leaks(shown, hidden!.replaceAll('$', '.'))).toBe(false)
        expect(leaks(shown, encodeURIComponent(hidden!))).toBe(false)
      }
    }),
    { ...settings, numRuns: 100 },
  )
})
