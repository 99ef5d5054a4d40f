/** `regis demo`, as npm start runs it: three regions that can be used, controlled while they run, and leave nothing behind. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import { freePort } from '../../src/demo/redis-server.ts'
import { RawClient } from '../kit/raw-client.ts'
import { atEnd } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

interface Demo {
  readonly child: ChildProcess
  readonly pid: number
  out(): string
  type(line: string): void
  /** Ports of the proxies in the order eu-west, us-east, ap-south. */
  readonly ports: readonly number[]
  readonly adminPorts: readonly number[]
  readonly primaryPort: number
}

async function startDemo(...args: readonly string[]): Promise<Demo> {
  // The usual ports may be a real demo's: free ones, and where a neighbour of one is taken the demo picks another itself.
  const bases = ['--base-port', String(await basePort()), '--admin-port', String(await basePort())]
  const child = spawn(process.execPath, [path.join(projectRoot, 'bin/regis'), 'demo', ...bases, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A group of its own, so that a Ctrl-C can be played without ending jest.
    detached: true,
  })
  atEnd(() => child.kill('SIGKILL'))
  let out = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
  }
  await waitFor(() => {
    if (child.exitCode !== null) throw new Error('the demo has ended')
    return out.includes('Ctrl-C ends everything')
  }, 40_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${out}`)
  })
  return {
    child,
    pid: child.pid ?? -1,
    out: () => out,
    type: (line) => child.stdin.write(`${line}\n`),
    ports: [...out.matchAll(/redis-cli -p (\d+) --user shop-app --pass demo/g)].map((match) => Number(match[1])),
    adminPorts: [...out.matchAll(/http:\/\/127\.0\.0\.1:(\d+)\//g)].map((match) => Number(match[1])),
    primaryPort: Number(/in sync: eu-west (\d+)/.exec(out)?.[1]),
  }
}

async function basePort(): Promise<number> {
  return Math.min(await freePort(), 65_000)
}

/** All living descendants of a process. */
function descendants(pid: number): number[] {
  const parents: (readonly [number, number])[] = []
  if (existsSync('/proc/self/stat')) {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      try {
        // "pid (name) state ppid": the name may hold spaces and brackets.
        const text = readFileSync(`/proc/${name}/stat`, 'utf8')
        parents.push([Number(name), Number(text.slice(text.lastIndexOf(')') + 4).split(' ')[0])])
      } catch {
        // It has ended since readdir.
      }
    }
  } else {
    const text = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    for (const line of text.trim().split('\n')) {
      const [child = 0, parent = 0] = line.trim().split(/\s+/).map(Number)
      parents.push([child, parent])
    }
  }
  const found = [pid]
  for (let i = 0; i < found.length; i++) {
    for (const [child, parent] of parents) if (parent === found[i]) found.push(child)
  }
  return found.slice(1)
}

const living = (pids: readonly number[]) =>
  pids.filter((pid) => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  })

async function login(port: number | undefined, user: string): Promise<RawClient> {
  const client = await RawClient.open(port ?? 0)
  atEnd(() => client.close())
  expect(await client.call('AUTH', user, 'demo')).toBe('OK')
  return client
}

const metrics = async (port: number | undefined) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()

test('three regions serve an unmodified client, obey what is typed, and a Ctrl-C leaves no process', async () => {
  const demo = await startDemo('--load', '60')
  expect(demo.ports).toHaveLength(3)
  expect(demo.adminPorts).toHaveLength(3)
  expect(demo.out()).toMatch(/(redis|valkey) \d+\.\d+\.\d+ \(/)

  const euWest = await login(demo.ports[0], 'shop-app')
  const apSouth = await login(demo.ports[2], 'shop-app')
  const stranger = await login(demo.ports[2], 'analytics-app')
  expect(await euWest.call('SET', 'a', '1')).toBe('OK')
  await waitFor(async () => (await apSouth.call('GET', 'a')) === '1', 2000)
  expect(await stranger.call('GET', 'a')).toBe(null)
  const primary = await RawClient.open(demo.primaryPort)
  atEnd(() => primary.close())
  expect(await primary.call('GET', 'shop:a')).toBe('1')
  expect(await primary.call('EXISTS', 'a')).toBe(0)

  // Distance is a lower bound that no machine's slowness can break.
  const startedAt = performance.now()
  await apSouth.call('SET', 'b', '1')
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(179)
  await waitFor(async () =>
    /regis_reads_total\{[^}]*region="ap-south"[^}]*\} [1-9]/.test(await metrics(demo.adminPorts[2])),
  )

  // The load's own lines: every region, with figures.
  await waitFor(() => /ap-south .*ops\/s .*lag \d.*bounded read \d.*write 1\d\d ms/.test(demo.out()))

  demo.type('flood everything')
  await waitFor(() => demo.out().includes('flood is not known here'))
  // A key written in eu-west and read in ap-south: what EXPLAIN says of it before and after the lag control is moved.
  const told = async () => {
    const flat = (await stranger.call('PROXY', 'EXPLAIN', 'GET', 'a')) as unknown[]
    return [flat[flat.indexOf('region') + 1], flat[flat.indexOf('reason') + 1]].join(' ')
  }
  await waitFor(async () => (await told()) === 'ap-south none')
  demo.type('lag ap-south=2s')
  await waitFor(() => demo.out().includes('replication to ap-south is 2000 ms later'))
  await waitFor(async () =>
    /regis_read_fallbacks_total\{from_region="ap-south"[^}]*reason="lag"\} [1-9]/.test(
      await metrics(demo.adminPorts[2]),
    ),
  )
  await waitFor(async () => /^(us-east|eu-west) lag$/.test(await told()))
  expect(demo.child.exitCode).toBe(null)

  const children = descendants(demo.pid)
  expect(children.length).toBeGreaterThanOrEqual(6)
  const exited = once(demo.child, 'exit')
  process.kill(-demo.pid, 'SIGINT')
  expect(await exited).toEqual([0, null])
  await waitFor(() => living(children).length === 0, 3000)
})

test('a demo that is killed with SIGKILL leaves no process either', async () => {
  const demo = await startDemo('--no-load')
  const children = descendants(demo.pid)
  expect(children.length).toBeGreaterThanOrEqual(6)
  demo.child.kill('SIGKILL')
  await waitFor(() => living(children).length === 0)
})

test('options that make no sense end with exit code 2 and a word about it, and start nothing', async () => {
  for (const [args, word] of [
    [['--latency', 'eu-west:mars=1s'], 'mars'],
    [['--lag', 'eu-west=1s'], 'primary'],
    [['--load', 'many'], 'number'],
    [['--base-port', '70000'], 'port'],
  ] as const) {
    const child = spawn(process.execPath, [path.join(projectRoot, 'bin/regis'), 'demo', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let text = ''
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    expect(await once(child, 'close')).toEqual([2, null])
    expect(text).toContain(word)
  }
})
