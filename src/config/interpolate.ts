/**
 * `${...}` inside one scalar, after the YAML was parsed: what comes out of the environment or a file is never read as
 * YAML, nor for further `${...}`. Pure: variables and files are handed in.
 *
 *   ${VAR}            the variable; not set = error
 *   ${VAR:-default}   the default where the variable is not set or empty; may hold ${...} itself
 *   ${VAR:?message}   error with the message where the variable is not set or empty
 *   ${file:/path}     a file's contents without the newline at its end
 *   $$                one $; a $ in front of anything else is itself, so hashes such as scrypt$16384$... need no escape
 */
export interface Sources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The contents, or undefined and why in `problem`. */
  readFile(path: string): { readonly text: string } | { readonly problem: string }
}

export interface InterpolationProblem {
  /** Where in the scalar's text the `${` stands. */
  readonly index: number
  readonly message: string
}

export interface Interpolated {
  readonly text: string
  /** True if any part came from outside the file. */
  readonly replaced: boolean
  readonly problems: readonly InterpolationProblem[]
}

export function interpolate(text: string, sources: Sources): Interpolated {
  if (!text.includes('$')) return { text, replaced: false, problems: [] }
  const problems: InterpolationProblem[] = []
  let replaced = false
  const expand = (from: number, to: number): string => {
    let out = ''
    let i = from
    while (i < to) {
      const dollar = text.indexOf('$', i)
      if (dollar < 0 || dollar >= to) return out + text.slice(i, to)
      out += text.slice(i, dollar)
      const next = dollar + 1 < to ? text[dollar + 1] : undefined
      if (next === '$') {
        out += '$'
        i = dollar + 2
      } else if (next === '{') {
        const end = closingBrace(text, dollar + 2, to)
        if (end < 0) {
          problems.push({ index: dollar, message: "'${' without its '}' (write $$ for a plain $)" })
          return out
        }
        out += one(dollar, end)
        i = end + 1
      } else {
        out += '$'
        i = dollar + 1
      }
    }
    return out
  }

  const one = (dollar: number, end: number): string => {
    const fail = (message: string): string => {
      problems.push({ index: dollar, message })
      return ''
    }
    replaced = true
    const inner = text.slice(dollar + 2, end)
    if (inner.startsWith('file:')) {
      const written = inner.slice('file:'.length)
      const path = expand(dollar + '${file:'.length, end)
      if (path === '') return fail('${file:} names no file')
      const read = sources.readFile(path)
      // The path as it is written, since a variable in it may be a secret of its own.
      return 'text' in read ? read.text.replace(/\r?\n$/, '') : fail(`cannot read the file ${written}: ${read.problem}`)
    }
    const found = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([\s\S]*))?$/.exec(inner)
    if (found === null) {
      return fail('expected ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path} (write $$ for a plain $)')
    }
    const [, name, operator, rest] = found
    const value = sources.env[name!]
    if (operator === undefined) return value ?? fail(`the variable ${name} is not set`)
    if (value !== undefined && value !== '') return value
    if (operator === ':-') return expand(end - rest!.length, end)
    return fail(`the variable ${name} is not set${rest === '' ? '' : `: ${rest}`}`)
  }

  return { text: expand(0, text.length), replaced, problems }
}

/** The `}` that closes a `${` whose inside begins at `from`; inner `${...}` are stepped over. -1 = none. */
function closingBrace(text: string, from: number, to: number): number {
  let depth = 1
  for (let i = from; i < to; i++) {
    if (text[i] === '$' && text[i + 1] === '{') {
      depth++
      i++
    } else if (text[i] === '}' && --depth === 0) return i
  }
  return -1
}
