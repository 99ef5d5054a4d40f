/**
 * What transactions and scripts through Regis cost the server, relative to the same commands straight on it: CPU of
 * redis-server per transaction or script, in turns in one run. A proxy that opens a connection for each transaction pays for
 * it here. Usage: npm run bench:overheads. ~ prints.
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { cpuNs, hasTaskset } from './cpu.ts'
import { bulk, encodeCommand, RawClient } from './raw-client.ts'
import { quantile } from './report.ts'
import { startDirect, startRegis, type Target } from './targets.ts'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '7' },
    each: { type: 'string', default: '200' },
    unpinned: { type: 'boolean', default: false },
  },
})
const [clientCount, rounds, each] = [Number(values.clients), Number(values.rounds), Number(values.each)]

const script = "redis.call('set',KEYS[1],ARGV[1]) return redis.call('get',KEYS[1])"
const sha = createHash('sha1').update(script).digest('hex')
const ok = Buffer.from('+OK\r\n')
const queued = Buffer.from('+QUEUED\r\n')
const value = Buffer.from('x'.repeat(32))

interface Step {
  readonly send: Buffer
  readonly expect: Buffer
}

const transaction = (key: string): Step[] => [
  { send: encodeCommand(['MULTI']), expect: ok },
  { send: encodeCommand(['SET', key, value]), expect: queued },
  { send: encodeCommand(['GET', key]), expect: queued },
  { send: encodeCommand(['STRLEN', key]), expect: queued },
  {
    send: encodeCommand(['EXEC']),
    expect: Buffer.concat([Buffer.from('*3\r\n+OK\r\n'), bulk(value), Buffer.from(':32\r\n')]),
  },
]

/** What one client does once, as the writes that it waits for one after the other. */
const cases: Readonly<Record<string, (key: string) => Step[][]>> = {
  'MULTI ... EXEC in one write': (key) => [transaction(key)],
  'MULTI ... EXEC, waiting for each reply': (key) => transaction(key).map((step) => [step]),
  'WATCH, GET, MULTI ... EXEC': (key) => [
    [{ send: encodeCommand(['WATCH', key]), expect: ok }],
    [{ send: encodeCommand(['GET', key]), expect: bulk(value) }],
    transaction(key),
  ],
  EVALSHA: (key) => [[{ send: encodeCommand(['EVALSHA', sha, '1', key, value]), expect: bulk(value) }]],
}

async function open(target: Target, name: string): Promise<RawClient> {
  const client = await RawClient.open(name, target.port)
  if (target.login !== undefined) await ask(client, ['AUTH', target.login.user, target.login.password], ok)
  return client
}

async function ask(client: RawClient, args: readonly (string | Buffer)[], expect: Buffer): Promise<void> {
  client.promise(expect)
  client.write(encodeCommand(args))
  await client.untilMissing(0)
}

/** Nanoseconds of the server's CPU for one of them. */
async function measure(target: Target, serverPid: number, steps: (key: string) => Step[][]): Promise<number> {
  const clients = await Promise.all(Array.from({ length: clientCount }, (_, i) => open(target, `${target.name} ${i}`)))
  for (const [i, client] of clients.entries()) await ask(client, ['SET', `k${i}`, value], ok)
  await ask(clients[0]!, ['SCRIPT', 'LOAD', script], bulk(Buffer.from(sha)))
  const run = async (client: RawClient, i: number, times: number): Promise<void> => {
    const writes = steps(`k${i}`).map((write) => ({
      bytes: Buffer.concat(write.map((step) => step.send)),
      replies: Buffer.concat(write.map((step) => step.expect)),
    }))
    for (let n = 0; n < times; n++) {
      for (const { bytes, replies } of writes) {
        client.promise(replies)
        client.write(bytes)
        await client.untilMissing(0)
      }
    }
  }
  await Promise.all(clients.map((client, i) => run(client, i, 10))) // warm
  const before = cpuNs(serverPid)
  await Promise.all(clients.map((client, i) => run(client, i, each)))
  const used = cpuNs(serverPid) - before
  for (const client of clients) client.close()
  return used / (clientCount * each)
}

async function main(): Promise<void> {
  const tool = await findRedisServer({ say: (line) => process.stderr.write(`${line}\n`) })
  const isPinned = !values.unpinned && hasTaskset()
  const pinning = isPinned ? { proxy: '0', load: '1' } : { proxy: undefined, load: undefined }
  const direct = await startDirect(tool, pinning)
  const regis = await startRegis({
    name: 'regis',
    folder: process.cwd(),
    args: [],
    redisPort: direct.port,
    pinning,
    scripts: 'declared',
  })
  try {
    process.stdout.write(
      `${clientCount} clients, ${rounds} rounds, CPU of redis-server per transaction or script, us\n\n`,
    )
    process.stdout.write(
      `${'case'.padEnd(42)}${'straight'.padStart(10)}${'through'.padStart(10)}${'ratio'.padStart(8)}\n`,
    )
    for (const [name, steps] of Object.entries(cases)) {
      const samples: { straight: number[]; through: number[]; ratio: number[] } = {
        straight: [],
        through: [],
        ratio: [],
      }
      for (let round = 0; round < rounds; round++) {
        const order = round % 2 === 0 ? [direct, regis] : [regis, direct]
        const used = new Map<Target, number>()
        for (const target of order) used.set(target, await measure(target, direct.pid!, steps))
        samples.straight.push(used.get(direct)! / 1000)
        samples.through.push(used.get(regis)! / 1000)
        samples.ratio.push(used.get(regis)! / used.get(direct)!)
      }
      const [straight, through, ratio] = [samples.straight, samples.through, samples.ratio].map((list) =>
        quantile(
          [...list].sort((a, b) => a - b),
          0.5,
        ),
      ) as [number, number, number]
      process.stdout.write(
        `${name.padEnd(42)}${straight.toFixed(2).padStart(10)}${through.toFixed(2).padStart(10)}${ratio.toFixed(2).padStart(8)}\n`,
      )
    }
  } finally {
    await regis.stop()
    await direct.stop()
  }
}

await main()
