/** `regis check --connect` against real servers, and the command as a process. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { RedisServer } from '../../src/demo/redis-server.ts'
import { regis } from '../unit/cli/kit.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'regis-connect-'))
let primary: RedisServer
let replica: RedisServer

beforeAll(async () => {
  primary = await RedisServer.start({ args: ['--databases', '1', '--maxmemory-policy', 'allkeys-lru'] })
  replica = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', String(primary.port), '--databases', '1'] })
  await primary.call('ACL', 'SETUSER', 'regis', 'on', '>hunter2hunter2', '~*', '&*', '+@all')
  await replica.call('ACL', 'SETUSER', 'regis', 'on', '>hunter2hunter2', '~*', '&*', '+@all')
  await replica.call('ACL', 'SETUSER', 'default', 'resetpass', '>other-other')
  await primary.call('ACL', 'SETUSER', 'poor', 'on', '>poor-poor-poor', '~*', '&*', '+ping', '+info', '+time', '+role')
})
afterAll(async () => {
  await Promise.all([primary?.stop(), replica?.stop()])
  rmSync(folder, { recursive: true })
})

function configuration(upstream: string, replicaUrl = `redis://127.0.0.1:${replica.port}`): string {
  const file = path.join(folder, 'proxy.yaml')
  writeFileSync(
    file,
    `region: eu
primary: eu
regions:
  eu: { nodes: [redis://127.0.0.1:${primary.port}] }
  us: { nodes: ["${replicaUrl}"] }
upstream: { ${upstream} }
tenants:
  a: { users: { a: { password: x } } }
  b: { users: { b: { password: x } } }
`,
  )
  return file
}

async function untilLinked(): Promise<void> {
  const endsAt = performance.now() + 20_000
  for (;;) {
    if (/slave0:.*state=online/.test(String(await primary.call('INFO', 'replication')))) return
    if (performance.now() > endsAt) throw new Error('the replica does not link')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('it shows what each node is, and warns of what is open', async () => {
  await untilLinked()
  const file = configuration('username: regis, password: hunter2hunter2')
  const { code, stdout, stderr } = await regis(['check', '-c', file, '--connect'])
  expect(stdout).toMatch(
    new RegExp(`^eu +127\\.0\\.0\\.1:${primary.port} +primary +\\d+\\.\\d+\\.\\d+ +\\d+\\.\\d ms +-$`, 'm'),
  )
  expect(stdout).toMatch(
    new RegExp(`^us +127\\.0\\.0\\.1:${replica.port} +replica +\\d+\\.\\d+\\.\\d+ +\\d+\\.\\d ms +\\d+ B$`, 'm'),
  )
  expect(stderr).toContain(`127.0.0.1:${primary.port}: user default is on without a password`)
  expect(stderr).not.toContain(`127.0.0.1:${replica.port}: user default is on`)
  expect(stderr).toContain('maxmemory-policy allkeys-lru')
  expect(stderr).toContain('min-replicas-to-write 0')
  expect(stderr).not.toContain('databases')
  expect(code).toBe(0)
})

test('--json has the same as fields', async () => {
  const file = configuration('username: regis, password: hunter2hunter2')
  const { stdout } = await regis(['check', '-c', file, '--connect', '--json'])
  const { connect } = JSON.parse(stdout)
  expect(connect.nodes).toMatchObject([
    {
      region: 'eu',
      role: 'primary',
      isDefaultOpen: true,
      databases: 1,
      maxmemoryPolicy: 'allkeys-lru',
      minReplicasToWrite: 0,
    },
    { region: 'us', role: 'replica', link: 'up', isReplicaReadOnly: true, isDefaultOpen: false },
  ])
  expect(connect.nodes[1].lagBytes).toBeGreaterThanOrEqual(0)
})

test('a refused login, a missing one and a dead node are told apart, and no password is shown', async () => {
  const wrong = await regis(['check', '-c', configuration('username: regis, password: wrong-wrong-wrong'), '--connect'])
  expect(wrong.code).toBe(1)
  expect(wrong.stdout.match(/unreachable: it refuses the login/g)).toHaveLength(2)
  const missing = await regis(['check', '-c', configuration('timeout: 1s'), '--connect'])
  expect(missing.stdout).toMatch(/^us .*unreachable: it wants a login, and there is none for it$/m)
  const dead = await regis([
    'check',
    '-c',
    configuration('username: regis, password: hunter2hunter2', 'redis://127.0.0.1:1'),
    '--connect',
  ])
  expect(dead.stdout).toMatch(/^us .*unreachable: nothing listens there$/m)
  for (const { stdout, stderr } of [wrong, missing, dead]) expect(stdout + stderr).not.toMatch(/wrong-wrong|hunter2/)
})

test('a login that may not ask for everything is not a failure', async () => {
  const url = `redis://regis:hunter2hunter2@127.0.0.1:${replica.port}`
  const { code, stderr } = await regis([
    'check',
    '-c',
    configuration('username: poor, password: poor-poor-poor', url),
    '--connect',
  ])
  expect(code).toBe(0)
  expect(stderr).toMatch(
    new RegExp(
      `127\\.0\\.0\\.1:${primary.port}: this login may not ask for .*CONFIG GET databases, .*ACL GETUSER default: not checked`,
    ),
  )
})

describe('as a process', () => {
  const run = (command: string, input = '') =>
    spawnSync('sh', ['-c', command], {
      input,
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, NO_COLOR: '1' },
    })

  test('exit codes and streams are those of the contract', () => {
    const file = path.join(folder, 'bad.yaml')
    writeFileSync(file, 'region: eu\n')
    const bad = run(`node bin/regis check -c ${file}`)
    expect([bad.status, bad.stdout]).toEqual([78, ''])
    expect(bad.stderr).toContain(`${file}:1:1: missing key 'primary'\nregion: eu\n^\n`)
    expect(run('node bin/regis check --nope').status).toBe(2)
    expect(run('node bin/regis check -c proxy.yaml').status).toBe(0)
  })

  test('a password comes from a pipe, and a reader that closes early is no error', () => {
    expect(run('node bin/regis hash-password', 'hunter2\n').stdout).toMatch(/^scrypt\$16384\$8\$1\$[^$]+\$[^$]+\n$/)
    const head = run('node bin/regis schema | head -c 1')
    expect([head.status, head.stdout, head.stderr]).toEqual([0, '{', ''])
  })
})
