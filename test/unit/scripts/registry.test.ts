import { scriptBytesMax, tenantScriptBytesMax, tenantScriptsMax } from '../../../src/base/limits.ts'
import { ScriptRegistry } from '../../../src/scripts/registry.ts'

const script = (sha: string, bytes = 1) => {
  const body = Buffer.alloc(bytes)
  return { sha, body, upstream: body, upstreamSha: `u${sha}` }
}

test('the script that was used longest ago is forgotten first', () => {
  const registry = new ScriptRegistry()
  for (let i = 0; i < tenantScriptsMax; i++) registry.add(script(String(i)))
  expect(registry.get('0')?.upstreamSha).toBe('u0')
  registry.add(script('new'))
  expect([registry.has('0'), registry.has('1'), registry.has('new')]).toEqual([true, false, true])
  expect(registry.count).toBe(tenantScriptsMax)
})

test('bytes are bounded, one that is too large is not kept, and what is kept is counted right', () => {
  const registry = new ScriptRegistry()
  registry.add(script('huge', scriptBytesMax + 1))
  expect([registry.count, registry.bytes]).toEqual([0, 0])
  for (let i = 0; i < 40; i++) registry.add(script(String(i), scriptBytesMax))
  expect(registry.bytes).toBe(tenantScriptBytesMax)
  registry.add(script('39', 10))
  expect(registry.bytes).toBe(tenantScriptBytesMax - scriptBytesMax + 10)
  registry.delete('39')
  registry.delete('39')
  expect(registry.bytes).toBe(tenantScriptBytesMax - scriptBytesMax)
  registry.clear()
  expect([registry.count, registry.bytes, registry.get('38')]).toEqual([0, 0, undefined])
})
