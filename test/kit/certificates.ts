/** Certificates for tests, made at test time by the `openssl` of the system; nothing of them is kept. ~ touches files and a child process. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { guardFolder } from '../../src/demo/guard.ts'
import { atEnd } from './servers.ts'

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

export interface Authority extends Certificate {
  /** A certificate for this common name; `names` are its DNS names. */
  issue(commonName: string, names?: readonly string[]): Certificate
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** A certificate authority of its own folder, which is removed after the tests. */
export function createAuthority(commonName: string): Authority {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-ca-'))
  guardFolder(folder)
  atEnd(() => rm(folder, { recursive: true, force: true }))
  let serial = 0
  const at = (name: string) => path.join(folder, name)
  const read = (certFile: string, keyFile: string): Certificate => ({
    certFile,
    keyFile,
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
  })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    '-subj',
    `/CN=${commonName}`,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
  )
  return {
    ...read(at('ca.crt'), at('ca.key')),
    issue(name, names = []) {
      const base = `leaf-${++serial}`
      const [key, request, cert, extensions] = ['key', 'csr', 'crt', 'ext'].map((end) => at(`${base}.${end}`))
      openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', key!, '-out', request!)
      writeFileSync(
        extensions!,
        names.length === 0
          ? 'basicConstraints=CA:FALSE\n'
          : `subjectAltName=${names.map((dns) => `DNS:${dns}`).join(',')}\n`,
      )
      openssl(
        'x509',
        '-req',
        '-days',
        '2',
        '-in',
        request!,
        '-CA',
        at('ca.crt'),
        '-CAkey',
        at('ca.key'),
        '-CAcreateserial',
        '-extfile',
        extensions!,
        '-out',
        cert!,
      )
      return read(cert!, key!)
    },
  }
}
