/** Scripts that are ended: whose, with which verb, and what is said of it. Nodes are a function here. */
import { type Log, silentLog } from '../../../src/base/log.ts'
import { RunningScripts } from '../../../src/scripts/running.ts'
import { ScriptKills } from '../../../src/scripts/script-kills.ts'

function world(answers: Record<string, string>) {
  const asked: string[] = []
  const said: string[] = []
  const running = new RunningScripts()
  const log: Log = { ...silentLog, warn: (_: unknown, text?: unknown) => void said.push(String(text)) }
  const kills = new ScriptKills({
    running,
    log,
    limitedLog: log,
    ask: async (node, command) => {
      asked.push(`${node} ${command.join(' ')}`)
      return answers[command[0]!]!
    },
  })
  const start = (node: number, tenant: string) => running.start(node, tenant, { lastReceivedAtMs: 0 }, 0)
  return { kills, asked, said, start }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a script that has had its time is ended, and its node is told once while it has not answered', async () => {
  const { kills, asked, said, start } = world({ SCRIPT: 'OK' })
  start(1, 'shop')
  kills.killOverdue(50, 50)
  expect(asked).toEqual([])
  kills.killOverdue(51, 50)
  kills.killOverdue(52, 50)
  expect(asked).toEqual(['1 SCRIPT KILL'])
  await settled()
  expect(said).toEqual(['a script was ended: it ran longer than limits.script_time'])
})

test('a script that has written cannot be ended, and that is said; the node is told again', async () => {
  const { kills, asked, said, start } = world({ SCRIPT: 'UNKILLABLE Sorry' })
  start(1, 'shop')
  kills.killOverdue(51, 50)
  await settled()
  kills.killOverdue(101, 50)
  expect(asked).toEqual(['1 SCRIPT KILL', '1 SCRIPT KILL'])
  expect(said).toEqual(['a script that has written runs longer than limits.script_time: nobody can end it'])
})

test('a function is ended by the verb of functions', async () => {
  const { kills, asked, start } = world({ SCRIPT: 'BUSY Redis is busy running a script', FUNCTION: 'OK' })
  start(0, 'shop')
  expect(await kills.killOf('shop', [0, 1])).toBe('OK')
  expect(asked).toEqual(['0 SCRIPT KILL', '0 FUNCTION KILL'])
})

test("a tenant ends its own script and nobody else's", async () => {
  const { kills, asked, start } = world({ SCRIPT: 'OK' })
  start(0, 'shop')
  expect(await kills.killOf('blog', [0, 1])).toBeUndefined()
  expect(await kills.killOf(undefined, [0, 1])).toBeUndefined()
  expect(await kills.killOf('shop', [1])).toBeUndefined()
  expect(asked).toEqual([])
})

test('a script that was over already is none', async () => {
  const { kills, start } = world({ SCRIPT: 'NOTBUSY No scripts in execution right now.' })
  start(0, 'shop')
  expect(await kills.killOf('shop', [0])).toBeUndefined()
})
