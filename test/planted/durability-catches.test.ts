/** The promise of `durability` is shown to be looked at: a WAIT with nothing in front of it says yes when no replica has the write. */

import { type PlantedBug, plant } from '../kit/planted.ts'
import { ErrorReply } from '../kit/resp.ts'
import { configFor, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const waitWithoutMark: PlantedBug = {
  name: 'WAIT without a mark',
  change: [
    {
      file: 'upstream/durability.ts',
      find: "lane.sendInternal(encodeRequest(['PUBLISH', this.options.channel, String(question)]), (reply) => {\n      isPublished = reply?.[0] === colon",
      // Nothing at all: any command moves the place that WAIT speaks of (server.c, processCommand: c->woff).
      put: 'isPublished = true\n    void ((reply: Buffer | undefined) => {',
    },
  ],
}

test('a write that no replica can have is acknowledged by a proxy whose WAIT has no mark, and by ours not', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const config = {
    ...configFor(topology, 'eu-west'),
    tenants: {
      shop: { durability: { replicas: 1, timeout: '500ms' }, users: { 'shop-app': { password: 'demo' } } },
    },
  }
  const [ours, planted] = [await startProxy(config), await startProxy(config, { root: plant(waitWithoutMark) })]
  const [client, misled] = [await ours.client('shop-app'), await planted.client('shop-app')]
  for (const one of [client, misled]) expect(await one.call('SET', 'a', '1')).toBe('OK')
  // All that these connections have seen so far is confirmed: what a WAIT without a mark speaks of.
  const at = Number(await topology.primary.info('master_repl_offset'))
  await waitFor(async () => Number(/offset=(\d+)/.exec((await topology.primary.info('slave0')) ?? '')?.[1]) >= at)
  topology.replication('us-east').partition(true)
  const reply = await client.call('SET', 'a', '2')
  expect(reply).toBeInstanceOf(ErrorReply)
  expect((reply as ErrorReply).message).toMatch(/^NOTDURABLE /)
  expect(await misled.call('SET', 'a', '3')).toBe('OK')
}, 60_000)
