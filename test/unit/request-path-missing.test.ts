/** Commands that the primary lacks: answered as it would, from the client's own bytes, and nothing travels. */
import { facts } from '../../src/commands/facts.generated.ts'
import type { ServerCommand } from '../../src/commands/live.ts'
import { buildWorld } from './request-world.ts'

const of7: readonly ServerCommand[] = facts.map((row) => ({ ...row, saysKeys: true }))
const without = (...names: readonly string[]) => of7.filter((row) => !names.includes(row.name))

test('the text names the command and its arguments as they were sent, and nothing is sent to a node', () => {
  const world = buildWorld()
  world.learn(of7)
  const { send, socket } = world.client('shop')
  send(['HexPire', 'k', '10', 'FIELDS', '1', 'f'])
  expect(socket.text).toBe("-ERR unknown command 'HexPire', with args beginning with: 'k' '10' 'FIELDS' '1' 'f' \r\n")
  expect(world.sentTo(world.primary) + world.sentTo(world.replica)).toBe('')
})

test('unknown comes before a wrong number of arguments, before a refusal and before the login', () => {
  const world = buildWorld()
  world.learn(of7)
  const { send, socket } = world.client('shop')
  send(['digest'], ['HOTKEYS', 'GET'], ['hotkeys'], ['backup', 'nope'])
  expect(socket.text.split('\r\n')).toEqual([
    "-ERR unknown command 'digest', with args beginning with: ",
    "-ERR unknown command 'HOTKEYS', with args beginning with: 'GET' ",
    "-ERR unknown command 'hotkeys', with args beginning with: ",
    "-ERR unknown command 'backup', with args beginning with: 'nope' ",
    '',
  ])
  const stranger = world.client('nobody')
  stranger.send(['DIGEST', 'k'])
  expect(stranger.socket.text).toBe("-ERR unknown command 'DIGEST', with args beginning with: 'k' \r\n")
})

test('a subcommand that it lacks is unknown to its container', () => {
  const world = buildWorld()
  world.learn(of7)
  const { send, socket } = world.client('shop')
  send(['CLUSTER', 'MyShardId'], ['script', 'show', 'x'])
  expect(socket.text).toBe(
    "-ERR unknown subcommand 'MyShardId'. Try CLUSTER HELP.\r\n-ERR unknown subcommand 'show'. Try SCRIPT HELP.\r\n",
  )
})

test('sessions that are open follow the primary, in both directions', () => {
  const world = buildWorld()
  const { send, socket } = world.client('shop')
  world.learn(without('append'))
  send(['APPEND', 'k', 'v'])
  expect(socket.text).toBe("-ERR unknown command 'APPEND', with args beginning with: 'k' 'v' \r\n")
  world.learn(of7)
  send(['APPEND', 'k', 'v'])
  expect(world.sentTo(world.primary)).toBe('*3\r\n$6\r\nAPPEND\r\n$6\r\nshop:k\r\n$1\r\nv\r\n')
})

test('what the proxy answers, it answers whatever the primary has', () => {
  const world = buildWorld()
  world.learn(without('ping', 'echo'))
  const { send, socket } = world.client('shop')
  send(['PING'], ['CLIENT', 'SETINFO', 'lib-name', 'x'])
  expect(socket.text).toBe('+PONG\r\n+OK\r\n')
})

test('an error text that passes with the prefix in quotes is counted, and others are not', () => {
  const world = buildWorld({ consistency: 'strong' })
  const { send, socket } = world.client('shop')
  const answers = ["-ERR no key 'shop:k' here\r\n", "-ERR no key 'k' of shop: here\r\n", "$7\r\n'shop:k\r\n"]
  send(...answers.map((_answer, i) => ['GET', `k${i}`]))
  world.reply(world.primary, `${answers.join('')}:0\r\n`) // and that to the check behind strong reads
  expect(socket.text).toBe(answers.join(''))
  expect(world.cells.errorNames).toBe(1)
})
