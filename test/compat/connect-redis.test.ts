/**
 * connect-redis 9 under express-session, two servers of one application with a store each: sessions live in Redis and are
 * the same to both, straight and through Regis.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { atEnd } from '../kit/servers.ts'
import { expectTheSame, type Side } from './clients.ts'
import { settle } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

interface Visited extends IncomingMessage {
  session: { views?: number; note?: string; cookie: { maxAge: number }; destroy(done: (error?: Error) => void): void }
}

/** An application as it is in express-session's own page: counts views, logs out. Returns its address and its store. */
async function startApplication(side: Side, options: { ttl?: number; disableTouch?: boolean } = {}) {
  const client = await side.nodeRedis()
  const store = new RedisStore({ client: client as never, prefix: 'sess:', ...options })
  let ids = 0
  const withSession = session({
    secret: 'keyboard cat',
    store,
    resave: false,
    saveUninitialized: false,
    genid: () => `id-${++ids}`,
  })
  const server = createServer((plain, response) => {
    withSession(plain, response, (error) => {
      const request = plain as Visited
      if (error !== undefined) return response.writeHead(500).end(String(error))
      if (request.url === '/logout') return request.session.destroy(() => response.end('bye'))
      if (request.url === '/look') return response.end(String(request.session.views ?? 'nothing'))
      request.session.views = (request.session.views ?? 0) + 1
      request.session.note = 'ü'.repeat(1000)
      response.end(`${request.session.views} ${request.session.note.length}`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => server.close())
  const { port } = server.address() as AddressInfo
  const visit = async (path: string, cookie?: string) => {
    const headers = { connection: 'close', ...(cookie === undefined ? {} : { cookie }) }
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
    return { text: await response.text(), cookie: response.headers.get('set-cookie')?.split(';')[0] }
  }
  return { store, client, visit }
}

test('two servers share sessions; a session that was ended is gone for both', () =>
  expectTheSame(stage, async (side) => {
    const [one, two] = [await startApplication(side, { ttl: 3600 }), await startApplication(side, { ttl: 3600 })]
    const first = await one.visit('/')
    const seen: unknown[] = [first, await two.visit('/', first.cookie), await one.visit('/look', first.cookie)]
    seen.push(await one.client.keys('*'), (await one.client.ttl('sess:id-1')) > 3500)
    seen.push(await two.visit('/logout', first.cookie), await one.visit('/look', first.cookie))
    seen.push(await one.visit('/look', 'connect.sid=s%3Aid-1.forged'), await one.client.exists('sess:id-1'))
    return seen
  }))

test('fifty visitors at once, each with a session of its own', () =>
  expectTheSame(stage, async (side) => {
    const { visit, client } = await startApplication(side)
    const visitors = await Promise.all(Array.from({ length: 50 }, () => visit('/')))
    const again = await Promise.all(visitors.map(({ cookie }) => visit('/', cookie)))
    return [again.map(({ text }) => text), await client.dbSize()]
  }))

test('the store’s own methods: set, get, touch, ids, length, all, clear', () =>
  expectTheSame(stage, async (side) => {
    const { store, client } = await startApplication(side, { ttl: 100 })
    const data = (name: string) => ({ name, cookie: {} }) as never
    await client.set('not-a-session', 'x')
    for (let i = 0; i < 150; i++) await store.set(`many-${i}`, data(`n${i}`))
    await store.set('ends', { cookie: { expires: new Date(Date.now() + 50_000) } } as never)
    const seen: unknown[] = [
      await store.get('many-7'),
      await store.get('none'),
      await settle(store.touch('many-7', data('n7'))),
      (await client.ttl('sess:ends')) <= 50,
      (await store.ids()).sort(),
      await store.length(),
      (await store.all()).map((one: { name?: string }) => String(one.name)).sort(),
    ]
    await store.destroy('many-7')
    seen.push(await store.length())
    await store.clear()
    return [...seen, await store.length(), await client.keys('*')]
  }))
