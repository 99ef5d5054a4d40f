/**
 * Clients that have a proxy keep all they can: run as a process of its own, so that it takes no time from those who measure.
 *   node hostile-clients.mjs <port> <user> <way> ...      until it is killed
 * What they are told they throw away; who is closed comes again, as programs do.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [port, user, ...ways] = process.argv.slice(2)
const MiB = 1024 * 1024

const command = (...args) =>
  Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${Buffer.byteLength(arg)}\r\n`), Buffer.from(arg), Buffer.from('\r\n')]),
  ])
const repeat = (count, of) => Buffer.concat(Array.from({ length: count }, () => of))

/** Resolves when it has logged in; with `reads` false it reads nothing after that. */
function open(reads) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
    socket.on('error', () => {})
    socket.once('close', () => reject(new Error('closed')))
    socket.once('data', () => {
      if (reads) socket.on('data', () => {})
      else socket.pause()
      resolve(socket)
    })
    socket.write(command('AUTH', user, 'demo'))
  })
}

/** Clients that do this, and come again when they are closed. */
function clients(count, reads, run) {
  for (let i = 0; i < count; i++) {
    const live = async () => {
      for (;;) {
        try {
          const socket = await open(reads)
          await run(socket)
          while (!socket.destroyed) await sleep(50)
        } catch {
          // It was closed, or not let in.
        }
        await sleep(100)
      }
    }
    void live()
  }
}

/** As fast as it is taken, or with so much rest after each piece. */
async function pour(socket, piece, times = Number.POSITIVE_INFINITY, restMs = 1) {
  for (let i = 0; i < times && !socket.destroyed; i++) {
    socket.write(piece)
    do await sleep(restMs)
    while (socket.writableLength > 256 * 1024 && !socket.destroyed)
  }
}

const known = {
  'requests of many MB that never end': () =>
    clients(24, true, async (socket) => {
      socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${100 * MiB}\r\n`)
      await pour(socket, Buffer.alloc(MiB, 'x'), 90)
    }),
  'many requests of 60 KiB that never end': () =>
    clients(3_000, true, async (socket) => {
      socket.write(Buffer.concat([Buffer.from('*2\r\n$3\r\nGET\r\n$64000\r\n'), Buffer.alloc(60_000, 'x')]))
    }),
  'replies of 10 MB that are not read': () => clients(10, false, (socket) => pour(socket, command('GET', 'large'), 2)),
  'transactions that are queued and not ended': () =>
    clients(20, true, async (socket) => {
      socket.write(command('MULTI'))
      await pour(socket, command('SET', 'k', Buffer.alloc(50_000, 'x')), 1_000, 15)
    }),
  'transactions of a million small commands': () =>
    clients(8, true, async (socket) => {
      socket.write(command('MULTI'))
      await pour(socket, repeat(2_000, command('INCR', 'n')))
    }),
  'messages that subscribers do not read': () => {
    clients(40, false, async (socket) => {
      socket.write(command('SUBSCRIBE', 'news'))
    })
    clients(1, true, (socket) => pour(socket, command('PUBLISH', 'news', Buffer.alloc(500_000, 'x'))))
  },
  'pipelines whose replies are not read': () =>
    clients(60, false, (socket) => pour(socket, repeat(200, command('ECHO', 'x'.repeat(5_000))))),
  'MONITOR that is not read': () => {
    clients(8, false, async (socket) => {
      socket.write(command('MONITOR'))
    })
    clients(1, true, (socket) => pour(socket, command('SET', 'k', Buffer.alloc(30_000, 'x'))))
  },
}

if (ways.length === 0) process.stdout.write(`${Object.keys(known).join('\n')}\n`)
for (const way of ways) known[way]()
