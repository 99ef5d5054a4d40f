/** Finding or fetching a real redis-server, running it, and its end when we are killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findRedisServer, projectRoot, ToolNotFound } from '../../src/demo/redis-finder.ts'
import { freePort, RedisServer } from '../../src/demo/redis-server.ts'
import { atEnd, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'regis-finder-'))
atEnd(() => rmSync(folder, { recursive: true, force: true }))

/** A program that answers --version with this line. */
function fake(name: string, line: string): string {
  const file = path.join(folder, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, `#!/bin/sh\necho '${line}'\n`)
  chmodSync(file, 0o755)
  return file
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('finding', () => {
  test('$REGIS_REDIS_SERVER comes first', async () => {
    const named = fake('named/my-redis', 'Redis server v=7.2.4 sha=00000000:0')
    const onPath = path.dirname(fake('path/redis-server', 'Redis server v=7.0.0 sha=00000000:0'))
    const tool = await findRedisServer({ env: { REGIS_REDIS_SERVER: named, PATH: onPath } })
    expect(tool).toMatchObject({ command: named, version: '7.2.4', engine: 'redis', source: '$REGIS_REDIS_SERVER' })
  })

  test('a $REGIS_REDIS_SERVER that is none is an error, and nothing else is tried', async () => {
    const onPath = path.dirname(fake('path/redis-server', 'Redis server v=7.0.0 sha=00000000:0'))
    for (const named of [
      '/nonexistent/redis',
      fake('named/tea', 'tea 1.0'),
      fake('named/old', 'Redis server v=5.0.14 sha=0'),
    ]) {
      const finding = findRedisServer({ env: { REGIS_REDIS_SERVER: named, PATH: onPath } })
      await expect(finding).rejects.toThrow(ToolNotFound)
      await expect(finding).rejects.toThrow(named)
    }
  })

  test('a server on PATH that is too old is passed over for valkey-server, and said so', async () => {
    const bin = path.dirname(fake('both/redis-server', 'Redis server v=6.0.16 sha=00000000:0'))
    fake('both/valkey-server', 'Valkey server v=8.0.1 sha=00000000:0')
    const cli = fake('both/valkey-cli', '')
    const lines: string[] = []
    const tool = await findRedisServer({ env: { PATH: bin }, say: (line) => lines.push(line) })
    expect(tool).toMatchObject({ version: '8.0.1', engine: 'valkey', source: 'PATH', redisCli: cli })
    expect(tool.redisBenchmark).toBeUndefined()
    expect(lines.join()).toContain('6.0.16')
  })

  test('without any on PATH and with an empty cache it is fetched once for two who ask at once, else one line says how to install', async () => {
    const cacheRoot = path.join(folder, 'cache')
    const lines: string[] = []
    const options = { cacheRoot, env: { PATH: path.join(folder, 'empty') }, say: (line: string) => lines.push(line) }
    const machine = await findRedisServer()
    if (existsSync('/usr/bin/apt-get') && machine.source === '.cache/redis') {
      const [one, other] = await Promise.all([findRedisServer(options), findRedisServer(options)])
      expect(one.command).toBe(path.join(cacheRoot, 'redis/usr/bin/redis-server'))
      expect(other).toEqual(one)
      expect(lines.filter((line) => line.startsWith('fetching'))).toHaveLength(1)
      const server = await startRedis({ tool: one })
      expect(await server.call('PING')).toBe('PONG')
      expect(existsSync(one.redisCli ?? '')).toBe(true)
    } else {
      // A machine with a server of its own is not asked for its package archive.
      expect(machine.source).not.toBe('.cache/redis')
    }
  }, 120_000)
})

describe('running', () => {
  test('it is ready when started, keeps to loopback, and stop() leaves neither process nor folder', async () => {
    const server = await startRedis({ args: ['--maxmemory', '64mb'] })
    expect(await server.call('PING')).toBe('PONG')
    expect(await server.call('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', String(64 * 1024 * 1024)])
    expect(await server.call('CONFIG', 'GET', 'bind')).toEqual(['bind', '127.0.0.1'])
    expect(await server.call('CONFIG', 'GET', 'save')).toEqual(['save', ''])
    const pid = server.pid
    await server.stop()
    expect(isAlive(pid)).toBe(false)
    expect(existsSync(server.folder)).toBe(false)
    await server.stop()
  })

  test('a taken port is an error that shows the log', async () => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    atEnd(() => squatter.close())
    const address = squatter.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    await expect(RedisServer.start({ port: address.port })).rejects.toThrow('Address already in use')
  })

  test('a replica follows, a stopped one stops answering, a restarted one is another', async () => {
    const [primary, replica] = await Promise.all([startRedis(), startRedis()])
    await replica.replicaOf('127.0.0.1', primary.port)
    await replica.untilInSync()
    await primary.call('SET', 'a', '1')
    await waitFor(async () => (await replica.call('GET', 'a')) === '1')

    const runId = await primary.info('run_id')
    await primary.kill('SIGSTOP')
    const answer = primary.call('PING')
    expect(await Promise.race([answer, replica.call('PING').then(() => 'the other one')])).toBe('the other one')
    await primary.kill('SIGCONT')
    expect(await answer).toBe('PONG')

    await primary.kill('SIGKILL')
    await expect(primary.call('PING')).rejects.toThrow()
    await primary.restart()
    expect(await primary.call('GET', 'a')).toBe(null)
    expect(await primary.info('run_id')).not.toBe(runId)
  })

  test('even a SIGKILL of whoever started it leaves no redis-server and no folder', async () => {
    const port = await freePort()
    const code = `import { RedisServer } from ${JSON.stringify(path.join(projectRoot, 'dist/demo/redis-server.js'))}
      const server = await RedisServer.start({ port: ${port} })
      console.log(JSON.stringify([server.pid, server.folder]))
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    atEnd(() => parent.kill('SIGKILL'))
    const [line] = await once(parent.stdout, 'data')
    const [pid, serverFolder] = JSON.parse(String(line))
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await waitFor(() => !isAlive(pid) && !existsSync(serverFolder))
  })
})
