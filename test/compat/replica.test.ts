/**
 * The corpus with every read answered by a replica: a client of a region without the primary, eventual consistency. The
 * barrier behind each command keeps the replica as far as the primary, so that only the reading itself is compared. Two
 * servers have two hash seeds: unordered collections are compared without their order.
 */
import type { Topology } from '../../src/demo/topology.ts'
import { configFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { corpus } from './corpus.ts'
import { compare, greet, runCase } from './differential.ts'
import { prefix, user } from './stage.ts'

let topology: Topology
let proxy: StartedProxy
beforeAll(async () => {
  topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const config = configFor(topology, 'us-east')
  proxy = await startProxy({ ...config, routing: { consistency: 'eventual' } }, { region: 'us-east' })
})

/**
 * Redis 7.0 replicates a group's reading as XCLAIM, which does not carry entries-read: its replicas say null there, asked
 * straight too.
 */
const redisItself = /^streams, XINFO: "XINFO" ("GROUPS" "s"|"STREAM" "s" "FULL" "COUNT" "1"):/

test.each([2, 3] as const)('every case gets the same replies from a replica, RESP%d', async (resp) => {
  const { primary } = topology
  const replica = topology.node('us-east')
  const straight = await greet(primary.port, resp)
  const through = await greet(proxy.port, resp, user)
  /** WAIT counts from the offset at this connection's last command. */
  const barrier = async () => {
    await primary.call('PING')
    expect(await primary.call('WAIT', 1, 5000)).toBe(1)
  }
  await replica.call('CONFIG', 'RESETSTAT')
  const complaints: string[] = []
  for (const one of corpus) {
    const expected = await runCase(straight, primary, one, 'one by one')
    await primary.call('FLUSHALL')
    await barrier()
    const found = await runCase(through, primary, one, 'one by one', barrier)
    complaints.push(...compare(one, expected, found, prefix, false))
  }
  expect(complaints.filter((line) => !redisItself.test(line))).toEqual([])
  expect(complaints.length).toBeLessThanOrEqual(2)
  // The replica did answer: most reads of the corpus came to it (some are refused before).
  const stats = String(await replica.call('INFO', 'commandstats'))
  const calls = (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0)
  const steps = corpus.flatMap((one) => one.steps.map((step) => step.argv[0]!.toString('latin1').toLowerCase()))
  for (const name of ['get', 'lrange', 'zrange', 'hgetall', 'xread']) {
    const sent = steps.filter((word) => word === name).length
    expect([name, calls(name) > sent / 2]).toEqual([name, true])
  }
})
