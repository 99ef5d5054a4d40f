import { createLog, type LogFields, oncePer, redact, redactUrls } from '../../../src/base/log.ts'

function collect(format: 'json' | 'pretty' = 'json', level: 'debug' | 'info' = 'info') {
  const lines: string[] = []
  const log = createLog({ level, format, color: false, destination: { write: (line) => lines.push(line) } })
  return { log, lines, json: () => lines.map((line) => JSON.parse(line) as LogFields) }
}

describe('createLog', () => {
  test('a line is there as soon as the call returns, with level and time as text', () => {
    const { log, json } = collect()
    log.info({ region: 'eu-west' }, 'listening')
    const [line] = json()
    expect(line).toMatchObject({ level: 'info', region: 'eu-west', msg: 'listening', pid: process.pid })
    expect(String(line?.['time'])).toMatch(/^\d{4}-\d\d-\d\dT/)
  })

  test('lines below the level are left out, and a changed level reaches children that exist already', () => {
    const { log, lines } = collect()
    const child = log.child({ node: 'a:1' })
    child.debug('one')
    expect(lines).toHaveLength(0)
    log.setLevel('debug')
    child.debug('two')
    expect(lines).toHaveLength(1)
    log.setLevel('silent')
    child.fatal('three')
    expect(lines).toHaveLength(1)
  })

  test.each(['password', 'password_hash', 'adminToken', 'client_secret', 'auth', 'requirepass', 'Authorization'])(
    'a field named %s is censored at any depth, in lines and in children',
    (name) => {
      const { log, lines } = collect()
      log.info({ [name]: 'hunter2', deep: { list: [{ [name]: ['hunter2'] }] } }, 'x')
      log.child({ upstream: { [name]: 'hunter2' } }).warn('y')
      expect(lines.join('')).not.toContain('hunter2')
      expect(lines.join('').match(/\*\*\*/g)).toHaveLength(3)
    },
  )

  test('fields that only resemble a secret stay', () => {
    expect(redact({ authFailures: 3, tokens: 2, passed: true, author: 'x' })).toEqual({
      authFailures: 3,
      tokens: 2,
      passed: true,
      author: 'x',
    })
  })

  test('a password inside a URL is censored, in the text of an error too', () => {
    const { log, lines } = collect()
    log.error({ err: new Error('cannot reach redis://regis:hunter2@eu-1:6379/0') }, 'rediss://:hunter2@h:1')
    expect(lines.join('')).not.toContain('hunter2')
    expect(lines.join('')).toContain('redis://regis:***@eu-1:6379/0')
    expect(redactUrls('mail a:b@c, http://h/a:b')).toBe('mail a:b@c, http://h/a:b')
  })

  test('a cycle or a very deep object does not hang or throw', () => {
    const { log, lines } = collect()
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    log.info({ cycle }, 'x')
    expect(lines[0]).toContain('[deep]')
  })

  test('pretty writes one readable line', () => {
    const { log, lines } = collect('pretty')
    log.warn({ node: 'a:1' }, 'node lost')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/WARN.*node lost.*a:1/)
    expect(lines[0]?.trimEnd()).not.toContain('\n')
  })
})

describe('oncePer', () => {
  test('a text is written once per interval, and the next line says how many were left out', () => {
    const { log, json } = collect()
    const clock = { ms: 0, now: () => clock.ms }
    const limited = oncePer(log, 1000, clock)
    for (let i = 0; i < 5; i++) limited.child({ client: i }).warn({ i }, 'wrong password')
    limited.warn('another text')
    expect(json()).toHaveLength(2)
    clock.ms = 1000
    limited.warn('wrong password')
    expect(json()[2]).toMatchObject({ msg: 'wrong password', suppressed: 4 })
    clock.ms = 2000
    limited.warn('wrong password')
    expect(json()[3]).not.toHaveProperty('suppressed')
  })

  test('many different texts do not grow the table without bound', () => {
    const { log, lines } = collect()
    const limited = oncePer(log, 1000, { now: () => 0 })
    for (let i = 0; i < 1000; i++) limited.warn(`text ${i}`)
    expect(lines).toHaveLength(1000)
  })
})
