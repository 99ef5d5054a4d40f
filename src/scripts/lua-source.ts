/**
 * One change to a script's text, so that errors of redis.call keep their line: `return redis.call(...)` is a tail call, and
 * a Lua function that is called so has no caller left to ask for its line (redis.call itself is in C, where it has).
 * `return false or redis.call(...)` is the same value, redis.call giving exactly one, and no tail call.
 *
 * Only the words `return redis.call(`, and `return f(` where the text says `local f = redis.call` and gives f no other
 * meaning; and only in code: strings and comments are passed over as Lua's own lexer does (llex.c). Where this is too
 * careful, a line is guessed; where it were too bold, a script would change. Time is linear in the text: what opens and
 * does not close ends with it, and what is looked for nearby is looked for within bounds.
 */

/** What is put in; the comment makes it findable, to give a library's text back as it came. */
export const tailMark = ' false--[=[regis]=]or'

const passedOver = String.raw`--\[(=*)\[[^]*?(?:\]\1\]|$)|--[^\n]*|\[(=*)\[[^]*?(?:\]\2\]|$)|"(?:\\[^]|[^"\\])*"?|'(?:\\[^]|[^'\\])*'?`
const redisCall = String.raw`redis\s*\.\s*call`
/** Followed by none of the signs that would make it a call or a field. */
const aliases = new RegExp(String.raw`\blocal\s+([A-Za-z_]\w*)\s*=\s*${redisCall}\b(?!\s*[("'{.[:])`, 'g')
/** Names that are looked into: each costs some passes over the text. */
const aliasesMax = 4

/** Names that stand for redis.call and nothing else in this text. */
function namesOfCall(source: string): string[] {
  if (!/\blocal\b/.test(source)) return []
  const code = source.replace(new RegExp(passedOver, 'g'), (it) => (it.startsWith('--') ? ' ' : '""'))
  const names = new Set([...code.matchAll(aliases)].slice(0, aliasesMax).map((match) => match[1]!))
  return [...names].filter((name) => {
    const definitions = code.match(new RegExp(String.raw`\b${name}\s*=(?!=)`, 'g')) ?? []
    const others = String.raw`\bfunction\s+${name}\b|\bfunction\b[^()\n]{0,80}\([^)\n]{0,60}\b${name}\b|\b(?:local|for)\b[^=\n]{0,60},\s*${name}\b|\bfor\s+${name}\b|\b${name}\s*,[^=\n]{0,60}=|\blocal\s+${name}\b(?!\s*=)`
    return definitions.length === 1 && !new RegExp(others).test(code)
  })
}

/** The text with its tail calls of redis.call unmade. Latin1 in and out. */
export function unmakeTailCalls(source: string): string {
  if (!source.includes('return')) return source
  const called = [redisCall, ...namesOfCall(source)].join('|')
  const pattern = new RegExp(String.raw`${passedOver}|\breturn(?=\s+(?:${called})\s*\()`, 'g')
  return source.replace(pattern, (it) => (it === 'return' ? it + tailMark : it))
}

/** The text as it was before. */
export function remakeTailCalls(source: string): string {
  return source.replaceAll(tailMark, '')
}
