/** With several workers: each write is told to the others by its key, also where this one would need no fence for itself. */
import type { SiblingLog } from '../../src/regions/sibling-log.ts'
import { buildWorld } from './request-world.ts'

function worldOf(isLogging: boolean) {
  const world = buildWorld({
    consistency: 'session',
    tenants: [{ id: 'shop', prefix: 'shop:', deny: [], users: [{ name: 'shop', readOnly: false }] }],
  })
  world.tracker.readOrder = [world.primary, world.replica]
  let told = 0
  const log: Pick<SiblingLog, 'isLogging' | 'key' | 'tenant' | 'publish' | 'settle'> = {
    isLogging,
    key: () => void told++,
    tenant: () => void told++,
    publish() {},
    settle() {},
  }
  const parts = { log, isFresh: false, answered() {}, lookFor() {}, tellNow() {} }
  Object.assign(world.path, { siblingWrites: parts })
  return { world, told: () => told }
}

test.each([true, false])('a pipeline of like writes, with others that listen: %s', (isLogging) => {
  const { world, told } = worldOf(isLogging)
  const client = world.client('shop')
  const count = 20
  client.send(...Array.from({ length: count }, (_, i) => ['SET', `k${i}`, 'v']))
  expect(world.sentTo(world.primary).match(/shop:k/g)).toHaveLength(count)
  expect(told()).toBe(isLogging ? count : 0)
})
