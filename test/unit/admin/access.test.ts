import { type AdminRequest, hasToken, hostOf, isLoopback, refusalOf } from '../../../src/admin/access.ts'

const open = { token: undefined, host: '127.0.0.1' }
const guarded = { token: 's3cret', host: '0.0.0.0' }

function request(method: string, headers: Record<string, string>, remoteAddress = '127.0.0.1'): AdminRequest {
  return { method, headers: { host: '127.0.0.1:9380', ...headers }, remoteAddress }
}

describe('isLoopback', () => {
  test.each(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])('%s is this machine', (address) => {
    expect(isLoopback(address)).toBe(true)
  })
  test.each(['', '10.0.0.1', '::2', '127.0.0.1.evil.example', '::ffff:10.0.0.1', 'localhost'])(
    '%s is not',
    (address) => {
      expect(isLoopback(address)).toBe(false)
    },
  )
})

describe('hostOf', () => {
  test.each([
    ['localhost', 'localhost'],
    ['LocalHost:9380', 'localhost'],
    ['127.0.0.1:9380', '127.0.0.1'],
    ['[::1]:9380', '::1'],
    ['[::1]', '::1'],
  ])('%s names %s', (header, host) => {
    expect(hostOf(header)).toBe(host)
  })
  test.each(['', 'a b', 'user@127.0.0.1', '::1', '127.0.0.1:', '127.0.0.1/x', 'a:b:c'])(
    '%j names nothing',
    (header) => {
      expect(hostOf(header)).toBeUndefined()
    },
  )
})

describe('hasToken', () => {
  test.each(['Bearer s3cret', 'bearer s3cret', 'Bearer  s3cret '])('%j is taken', (authorization) => {
    expect(hasToken(request('GET', { authorization }), 's3cret')).toBe(true)
  })
  test.each(['', 'Bearer', 'Bearer ', 's3cret', 'Basic s3cret', 'Bearer s3cre', 'Bearer s3cret x', 'Bearer S3CRET'])(
    '%j is not',
    (authorization) => {
      expect(hasToken(request('GET', { authorization }), 's3cret')).toBe(false)
    },
  )
  test('an absent header never matches', () => {
    expect(hasToken(request('GET', {}), '')).toBe(false)
  })
})

describe('refusalOf', () => {
  test('without a token a program on this machine may read and change', () => {
    expect(refusalOf(request('GET', {}), open)).toBeUndefined()
    expect(refusalOf(request('POST', {}), open)).toBeUndefined()
    expect(refusalOf(request('POST', { host: 'localhost:9380' }), open)).toBeUndefined()
  })

  test('without a token another machine may not change', () => {
    expect(refusalOf(request('POST', {}, '10.0.0.9'), open)?.status).toBe(403)
  })

  test('with a token everything needs it, from this machine too', () => {
    expect(refusalOf(request('GET', {}), guarded)?.status).toBe(401)
    expect(refusalOf(request('POST', { authorization: 'Bearer wrong' }), guarded)?.status).toBe(401)
    const right = { authorization: 'Bearer s3cret', host: 'regis.example:9380' }
    expect(refusalOf(request('GET', right, '10.0.0.9'), guarded)).toBeUndefined()
    expect(refusalOf(request('POST', right, '10.0.0.9'), guarded)).toBeUndefined()
  })

  test.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ origin: 'http://evil.example' }],
    [{ origin: 'null' }],
    [{ origin: 'http://127.0.0.1:8080' }],
    [{ origin: 'file://127.0.0.1:9380' }],
  ])('a page of another site cannot change anything: %j', (headers) => {
    expect(refusalOf(request('POST', headers), open)?.status).toBe(403)
    expect(refusalOf(request('POST', { ...headers, authorization: 'Bearer s3cret' }), guarded)?.status).toBe(403)
  })

  test("the dashboard's own page may", () => {
    const headers = { 'sec-fetch-site': 'same-origin', origin: 'http://127.0.0.1:9380' }
    expect(refusalOf(request('POST', headers), open)).toBeUndefined()
  })

  test.each(['evil.example:9380', 'localhost.evil.example', ''])(
    'a name that was pointed here can read nothing: Host %j',
    (host) => {
      expect(refusalOf(request('GET', { host }), open)?.status).toBe(403)
    },
  )

  test('the configured name is served', () => {
    const options = { token: undefined, host: 'Admin.internal' }
    expect(refusalOf(request('GET', { host: 'admin.internal:9380' }), options)).toBeUndefined()
  })
})
