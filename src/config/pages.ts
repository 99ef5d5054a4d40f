/** docs/config.md and config/schema.json, rendered from the table of keys. Pure; who writes the files is cli/docs.ts. */
import { z } from 'zod'
import { reloadClasses } from './changes.ts'
import { alternatives, type Facts, facts, inner, shapeOf } from './fields.ts'
import { schema } from './schema.ts'
import { namePattern } from './tenant-checks.ts'

/** JSON Schema draft-7, as editors read it: `# yaml-language-server: $schema=...`. */
export function renderJsonSchema(): string {
  const json = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => adapt(zodSchema as unknown as z.ZodType, jsonSchema),
  })
  const { $schema, ...rest } = json
  const titled = { $schema, title: 'proxy.yaml of Regis', ...rest }
  return `${JSON.stringify(titled, null, 2)}\n`
}

function adapt(from: z.ZodType, json: Record<string, unknown>): void {
  const own = facts.get(from)?.json
  if (own !== undefined) {
    for (const key of Object.keys(json)) if (key !== 'description' && key !== 'default') delete json[key]
    Object.assign(json, own)
  }
  if (from instanceof z.ZodRecord) json['propertyNames'] = { pattern: namePattern }
  const notYet = facts.get(from)?.notYet
  if (notYet !== undefined && json['description'] !== undefined)
    json['description'] = `${String(json['description'])} (${state(notYet)}.)`
  // Defaults are kept as text in the table; the schema shows them as an editor would write them.
  if (json['default'] === 'true' || json['default'] === 'false') json['default'] = json['default'] === 'true'
  else if (typeof json['default'] === 'string' && /^\d+$/.test(json['default']))
    json['default'] = Number(json['default'])
}

interface Row {
  readonly path: string
  readonly kind: string
  readonly preset: string
  readonly about: string
}

export function renderConfigPage(): string {
  const parts = [intro]
  for (const [name, member] of Object.entries(schema.shape) as [string, z.ZodType][]) {
    parts.push(
      `## ${name}\n\n| key | value | default | reload | |\n|---|---|---|---|---|\n${rows(name, member).map(line).join('\n')}\n`,
    )
  }
  return parts.join('\n')
}

/** Every key once, in the order of the table. */
export function configKeys(): string[] {
  return (Object.entries(schema.shape) as [string, z.ZodType][]).flatMap(([name, member]) =>
    rows(name, member).map((row) => row.path),
  )
}

function line(row: Row): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  return `| \`${row.path}\` | ${cell(row.kind)} | ${cell(row.preset)} | ${reloadOf(row.path)} | ${cell(row.about)} |`
}

const reloadWords = { live: 'live', restart: 'restart', never: 'refused' } as const

/** Of what is in a list that counts as one key: the list's. */
function reloadOf(path: string): string {
  const key = Object.hasOwn(reloadClasses, path) ? path : path.slice(0, Math.max(0, path.indexOf('[]')))
  return Object.hasOwn(reloadClasses, key) ? reloadWords[reloadClasses[key]!] : ''
}

function rows(path: string, member: z.ZodType): Row[] {
  const it = inner(member)
  const { notYet } = facts.get(it) ?? {}
  const about = `${it.description ?? ''}${notYet === undefined ? '' : ` **${state(notYet)}.**`}`
  const own = { path, kind: kind(it), preset: presetOf(member), about }
  return [own, ...alternatives(member).flatMap((option) => below(path, inner(option)))]
}

function below(path: string, it: z.ZodType): Row[] {
  if (it instanceof z.ZodObject) {
    return (Object.entries(it.shape) as [string, z.ZodType][]).flatMap(([name, member]) =>
      rows(`${path}.${name}`, member),
    )
  }
  if (it instanceof z.ZodArray)
    return alternatives(it.element as z.ZodType).flatMap((option) => below(`${path}[]`, inner(option)))
  if (!(it instanceof z.ZodRecord)) return []
  const value = it.valueType as z.ZodType
  const name = `${path}.<name>`
  return shapeOf(value) === 'map' ? below(name, inner(value)) : rows(name, value)
}

function kind(it: z.ZodType): string {
  const words = alternatives(it).map((option) => {
    const plain = inner(option)
    if (plain instanceof z.ZodRecord) return 'mapping by name'
    if (plain instanceof z.ZodArray) return `list of ${kind(plain.element as z.ZodType)}`
    return shapeOf(plain) === 'map' ? 'mapping' : (facts.get(plain)?.kind ?? 'text')
  })
  return [...new Set(words)].join(' or ')
}

function presetOf(member: z.ZodType): string {
  if (member instanceof z.ZodOptional) return ''
  if (!(member instanceof z.ZodPrefault)) return 'required'
  const value: unknown = member.def.defaultValue
  if (typeof value === 'string') return `\`${value}\``
  return Array.isArray(value) && value.length > 0 ? `\`${JSON.stringify(value)}\`` : ''
}

function state(notYet: NonNullable<Facts['notYet']>): string {
  const except = notYet.unless === undefined ? '' : `, except \`${notYet.unless.join('`, `')}\``
  return notYet.severity === 'error'
    ? `Not supported yet: refused${except}`
    : `Not enforced yet: accepted with a warning${except}`
}

const intro = `# Configuration

Generated from the table of keys by \`npm run docs\`; do not edit. \`regis check -c proxy.yaml\` shows every error of a file at
once; \`--print\` shows the effective configuration, \`--connect\` tries the nodes. \`config/schema.json\` is the same table for
editors: begin the file with \`# yaml-language-server: $schema=./config/schema.json\`. \`config/examples/\` has a minimal
and a full file.

- The same file serves every region. Where this proxy runs says \`--region\`, else the key \`region\`, else, where that key
  is left out, the variable \`REGION\`.
- Unknown keys and keys that occur twice are errors. A key with nothing behind it counts as left out.
- **Durations** \`250ms\` \`2s\` \`1m\` \`1h\`; **sizes** \`512B\` \`64KiB\` \`50MiB\` \`1GiB\` (1024) and \`KB\` \`MB\` \`GB\` (1000); **rates**
  \`20000/s\` \`10/m\` \`5/h\`, of bytes \`50MiB/s\`. \`0\` needs no unit.
- **Replaced in values** after the YAML was read, so that nothing replaced is ever read as YAML: \`\${VAR}\` (not set is an
  error), \`\${VAR:-default}\`, \`\${VAR:?message}\` (both also where it is empty), \`\${file:/path}\` (without the newline at its
  end); \`$$\` is one \`$\`, and a \`$\` before anything else is itself. Inside \`{ }\` and \`[ ]\` such values must be quoted.
- **Paths** of files are relative to the folder of the configuration.
- **Names** of regions, tenants, users: \`${namePattern}\`. A user name occurs once in the file, operators included.
- **Prefixes** hold no glob sign, brace or space; none may be the start of another; \`regis:\` and \`__key\` are reserved.
- **Password hashes** come from \`regis hash-password\`: \`scrypt$N$r$p$salt$hash\` (base64) for passwords of people,
  \`sha256$salt$hash\` (base64) or \`sha256$\` and 64 hex digits for generated secrets only.
- **Secrets** are never shown: source lines under a caret, \`--print\` and logs have \`***\` in their place.
- A login in a node's URL replaces \`upstream.username\` and \`upstream.password\` whole. What \`%xx\` could mean is decoded;
  it ends at the last \`@\`.
- \`--listen HOST:PORT\` keeps the first listener alone, at that address; \`--admin HOST:PORT\` replaces \`admin.address\`.

- **Reload** (SIGHUP, \`PROXY RELOAD\`, \`regis reload\`, \`--watch\`): a change of a key with *live* acts from the next command on; with
  *restart* it needs one; with *refused* it would leave keys behind. A file with one change that cannot be taken is not taken at all.

Columns: key, kind of value, default, what a reload does with it, what it is for.
`
