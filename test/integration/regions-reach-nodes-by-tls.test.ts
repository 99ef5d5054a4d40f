import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freePort, type RedisServer } from '../../src/demo/redis-server.ts'
import { atEnd, startRedis } from '../kit/servers.ts'
import { addressAt, startTracker, untilShown } from './regions-kit.ts'

/** Made for this test with openssl, for the name redis.test, valid for a hundred years; the key protects nothing. */
const ca = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS2gAwIBAgIUMa9vniSV0rbT1aBXpEktY65X5yAwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNUmVnaXMgdGVzdCBDQTAgFw0yNjExMjMwNDE0MjFaGA8yMTI2
MTAzMDA0MTQyMVowGDEWMBQGA1UEAwwNUmVnaXMgdGVzdCBDQTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABLklpC+bMKs+NOLGFlUA4ag8F594/8biB03XqXux2Dlm
SFgeTVg30nAmL1VtnNjDJWEaIn/3OHMHjrSp41QwCaWjUzBRMB0GA1UdDgQWBBQk
mJX0PT5SgLvOp0NFqFln2syB7DAfBgNVHSMEGDAWgBQkmJX0PT5SgLvOp0NFqFln
2syB7DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQD+LmlW8L0u
BBQgPy5GLDwAjayx4KMlcntUOHSgNUwZXQIhAOMmYg17RkeDi6A1p0atZCMIZUJS
5ZSWWAN9UKcR4wjV
-----END CERTIFICATE-----
`
const cert = `-----BEGIN CERTIFICATE-----
MIIBijCCATCgAwIBAgIUN7Jpo65bYmwYqn9tNF7kLnY7DoowCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNUmVnaXMgdGVzdCBDQTAgFw0yNjExMjMwNDE0MjFaGA8yMTI2
MTAzMDA0MTQyMVowFTETMBEGA1UEAwwKcmVkaXMudGVzdDBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABPeLGMZc60r3NJShLy2x8eqsFrfd8jbbgTs3ayjnDy05TdcX
pz4reFqm7YkXmLWlIyVBmoY7lOYihBRQIRR6xUyjWTBXMBUGA1UdEQQOMAyCCnJl
ZGlzLnRlc3QwHQYDVR0OBBYEFCjNyEP736sQaClHFJKRZCMW/dr8MB8GA1UdIwQY
MBaAFCSYlfQ9PlKAu86nQ0WoWWfazIHsMAoGCCqGSM49BAMCA0gAMEUCIHXNSvRL
EO/W2vvfeZQxXC+QvQBq12z/yK2WRaBCuTvXAiEAlc/rMelSljSirTP/GqvBXheH
1bfGr1zxdfuaAa5CLfM=
-----END CERTIFICATE-----
`
const key = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIErf3c+ahgcNf/W5tA9fBc1ZvylAyXiW2yM/zydR73leoAoGCCqGSM49
AwEHoUQDQgAE94sYxlzrSvc0lKEvLbHx6qwWt93yNtuBOzdrKOcPLTlN1xenPit4
WqbtiReYtaUjJUGahjuU5iKEFFAhFHrFTA==
-----END EC PRIVATE KEY-----
`

test('a node behind TLS is reached with its CA and its name, and says why when either is wrong', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-tls-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries({ ca, cert, key })) writeFileSync(path.join(folder, name), text)
  const start = async (): Promise<{ port: number; server: RedisServer }> => {
    const port = await freePort()
    const args = ['--tls-port', String(port), '--tls-auth-clients', 'no']
    for (const name of ['ca', 'cert', 'key']) {
      args.push(name === 'ca' ? '--tls-ca-cert-file' : `--tls-${name}-file`, path.join(folder, name))
    }
    return { port, server: await startRedis({ args }) }
  }
  const [{ port, server }, replica] = [await start(), await start()]
  await replica.server.replicaOf('127.0.0.1', server.port)
  await replica.server.untilInSync()
  const address = { ...addressAt('eu', port), tls: true, ca, servername: 'redis.test' }

  const tracker = await startTracker([address, { ...address, ...addressAt('eu', replica.port), tls: true }], 'eu')
  expect(tracker.primary).toBe(tracker.nodes[0])
  await untilShown(tracker, tracker.nodes[1]!)

  const { ca: _ca, ...withoutCa } = address
  const wrong = await startTracker([{ ...address, servername: 'other.test' }, withoutCa, addressAt('eu', port)], 'eu')
  const [name, authority, plain] = wrong.nodes.map((node) => node.downReason)
  expect(name).toContain('other.test')
  expect(authority).toMatch(/certificate/)
  expect(plain).not.toBe('')
  expect(wrong.primary).toBeUndefined()
})
