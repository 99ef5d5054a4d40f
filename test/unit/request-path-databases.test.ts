/** Databases of a tenant in the request path: the prefix that counts, and lanes of a database of the servers. */
import { buildCommandTable } from '../../src/commands/lookup.ts'
import type { Node } from '../../src/regions/node.ts'
import { Splicer } from '../../src/tenant/rewrite.ts'
import { SecondLook } from '../../src/tenant/second-look.ts'
import { UpstreamConnection } from '../../src/upstream/connection.ts'
import type { Lane } from '../../src/upstream/lane.ts'
import { command } from '../kit/resp.ts'
import { buildWorld, MemoryPort } from './request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')

describe('several databases behind a prefix', () => {
  const many = { id: 'many', prefix: 'many:', databases: 4, deny: [], users: [{ name: 'many', readOnly: false }] }

  test('SELECT in a pipeline counts for what stands behind it', () => {
    const world = buildWorld({ tenants: [many] })
    const client = world.client('many')
    client.send(['SET', 'a', '1'], ['SELECT', '2'], ['SET', 'a', '2'], ['SELECT', '4'], ['GET', 'a'])
    expect(world.sentTo(world.primary)).toBe(
      text('SET', 'many:0:a', '1') + text('SET', 'many:2:a', '2') + text('GET', 'many:2:a'),
    )
    world.reply(world.primary, '+OK\r\n+OK\r\n$1\r\n2\r\n')
    expect(client.socket.text).toBe('+OK\r\n+OK\r\n+OK\r\n-ERR DB index is out of range\r\n$1\r\n2\r\n')
  })

  test('reads that are taken back are sent again in the database that they were in', () => {
    const world = buildWorld({ tenants: [many] })
    const client = world.client('many')
    client.send(['SELECT', '1'])
    client.send(['GET', 'a'], ['SELECT', '2'], ['GET', 'a'], ['SET', 'a', '1'], ['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe('')
    expect(world.sentTo(world.primary)).toBe(
      text('GET', 'many:1:a') + text('GET', 'many:2:a') + text('SET', 'many:2:a', '1') + text('GET', 'many:2:a'),
    )
    world.reply(world.primary, '$-1\r\n$-1\r\n+OK\r\n$1\r\n1\r\n')
    expect(client.socket.text).toBe('+OK\r\n$-1\r\n+OK\r\n$-1\r\n+OK\r\n$1\r\n1\r\n')
    expect([world.calls('select'), world.calls('get'), client.session.database]).toEqual([2, 3, 2])
  })

  test('a reply in flight is of the database that its request was sent in', () => {
    const world = buildWorld({ tenants: [many] })
    const client = world.client('many')
    client.send(['LMPOP', '1', 'l', 'LEFT'], ['SELECT', '3'])
    world.sentTo(world.primary)
    world.reply(world.primary, '*2\r\n$8\r\nmany:0:l\r\n*1\r\n$1\r\nx\r\n')
    expect(client.socket.text).toBe('*2\r\n$1\r\nl\r\n*1\r\n$1\r\nx\r\n+OK\r\n')
    client.send(['LMPOP', '1', 'l', 'LEFT'])
    world.sentTo(world.primary)
    // Another database of the same tenant is foreign too.
    world.reply(world.primary, '*2\r\n$8\r\nmany:0:l\r\n*1\r\n$1\r\nx\r\n')
    expect(client.socket.text).toContain('-ERR internal isolation check failed')
  })

  test('MOVE is a RENAMENX whose missing key is 0, and is counted as MOVE', () => {
    const world = buildWorld({ tenants: [many] })
    const client = world.client('many')
    client.send(['SET', 'k', '1'], ['MOVE', 'k', '1'], ['MOVE', 'none', '1'], ['COPY', 'k', 'c', 'DB', '3', 'REPLACE'])
    expect(world.sentTo(world.primary)).toBe(
      text('SET', 'many:0:k', '1') +
        text('RENAMENX', 'many:0:k', 'many:1:k') +
        text('RENAMENX', 'many:0:none', 'many:1:none') +
        text('COPY', 'many:0:k', 'many:3:c', 'REPLACE'),
    )
    world.reply(world.primary, '+OK\r\n:1\r\n-ERR no such key\r\n-WRONGTYPE x\r\n')
    expect(client.socket.text).toBe('+OK\r\n:1\r\n:0\r\n-WRONGTYPE x\r\n')
    expect([world.calls('move'), world.calls('copy'), world.calls('renamenx')]).toEqual([2, 1, 0])
  })

  test('a channel is of the tenant, whatever database is selected', () => {
    const world = buildWorld({ tenants: [many] })
    world.client('many').send(['SELECT', '2'], ['SET', 'k', '1'], ['PUBLISH', 'ch', 'm'], ['GET', 'k'])
    expect(world.sentTo(world.primary)).toBe(
      text('SET', 'many:2:k', '1') + text('PUBLISH', 'many:ch', 'm') + text('GET', 'many:2:k'),
    )
  })

  test('a client without a tenant names nothing', () => {
    const world = buildWorld({ tenants: [many] })
    const { session } = world.client('many')
    session.select(3)
    session.enter(undefined)
    expect([session.database, String(session.prefix)]).toEqual([0, 'regis:nobody:'])
  })
})

describe('a database of the servers that is one tenant’s own', () => {
  const own = { id: 'own', prefix: 'own:', database: 3, deny: [], users: [{ name: 'own', readOnly: false }] }
  const shop = { id: 'shop', prefix: 'shop:', deny: [], users: [{ name: 'shop', readOnly: false }] }

  /** A world in which the lanes of database 3 are open. */
  function worldOf() {
    const world = buildWorld({ tenants: [own, shop] })
    const start = jest.spyOn(UpstreamConnection.prototype, 'start').mockImplementation(() => {})
    const sent = new Map<Lane, MemoryPort>()
    for (const node of [world.primary, world.replica]) {
      const lane = world.pool.lane(node.index, 2, false, 1, 3)
      const port = new MemoryPort(lane)
      lane.open(port)
      Object.assign(lane, { isReady: true, isPrimary: node === world.primary })
      sent.set(lane, port)
    }
    return {
      world,
      start,
      sentTo: (node: Node) => {
        const lane = world.pool.lane(node.index, 2, false, 1, 3)
        lane.flush()
        return sent.get(lane)!.sent
      },
    }
  }
  afterEach(() => jest.restoreAllMocks())

  test('its commands go there without a prefix, and those of others never', () => {
    const { world, sentTo } = worldOf()
    const [mine, theirs] = [world.client('own'), world.client('shop')]
    mine.send(['SET', 'k', '1'], ['COPY', 'k', 'c', 'DB', '0'])
    theirs.send(['SET', 'k', '2'])
    mine.send(['GET', 'k'])
    expect(sentTo(world.primary)).toBe(text('SET', 'k', '1') + text('COPY', 'k', 'c') + text('GET', 'k'))
    expect(world.sentTo(world.primary)).toBe(text('SET', 'shop:k', '2'))
  })

  test('channels have the prefix of the tenant all the same, and the second look asks for it', () => {
    const { world, sentTo } = worldOf()
    const mine = world.client('own')
    mine.send(['PUBLISH', 'ch', 'm'], ['SET', 'k', '1'], ['SPUBLISH', 'ch', 'm'])
    expect(sentTo(world.primary)).toBe(
      text('PUBLISH', 'own:ch', 'm') + text('SET', 'k', '1') + text('SPUBLISH', 'own:ch', 'm'),
    )
    const look = new SecondLook(buildCommandTable(), 1_000)
    const bare = command('PUBLISH', 'ch', 'm')
    expect(look.isPrefixed(bare, 0, bare.length, 1, Buffer.alloc(0), Buffer.from('own:'))).toBe(false)
  })

  test.each(['at the choice', 'at the flush'])('a lane of another database is noticed %s: nothing leaves', (when) => {
    const { world } = worldOf()
    const client = world.client('own')
    // Our own mistake: the pool hands out the lane of database 0.
    const lane = world.lane(world.primary)
    if (when === 'at the choice') jest.spyOn(world.pool, 'lane').mockReturnValue(lane)
    else {
      jest.spyOn(world.pool, 'lane').mockImplementation(() => {
        lane.database = 3
        return lane
      })
      const { splice } = Splicer.prototype
      jest.spyOn(Splicer.prototype, 'splice').mockImplementation(function (this: Splicer, ...args) {
        lane.database = 0
        return splice.apply(this, args)
      })
    }
    client.send(['SET', 'k', '1'])
    expect(world.ports[lane.index]!.sent).toBe('')
    expect(world.ports[lane.index]!.destroyed).toBe('isolation check failed')
    expect(client.socket.isDestroyed).toBe(true)
    expect(world.cells.tripwires.foreignPrefix).toBe(1)
  })

  test('a request with a database in it is stopped by the second look', () => {
    const table = buildCommandTable()
    const look = new SecondLook(table, 1_000)
    for (const argv of [
      ['COPY', 'k', 'c', 'DB', '0'],
      ['MOVE', 'k', '0'],
      ['SELECT', '0'],
      ['SWAPDB', '0', '3'],
    ]) {
      const bytes = command(...argv)
      expect([argv, look.isPrefixed(bytes, 0, bytes.length, 1, Buffer.alloc(0), Buffer.alloc(0))]).toEqual([
        argv,
        false,
      ])
    }
    const plain = command('COPY', 'k', 'c')
    expect(look.isPrefixed(plain, 0, plain.length, 1, Buffer.alloc(0), Buffer.alloc(0))).toBe(true)
  })
})
