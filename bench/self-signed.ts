/** A certificate of this run, made by the openssl of the system and gone with its folder. ~ starts a child process, writes files. */
import { execFileSync } from 'node:child_process'
import path from 'node:path'

export interface SelfSigned {
  readonly certFile: string
  readonly keyFile: string
}

/** undefined: there is no openssl here. */
export function selfSigned(folder: string): SelfSigned | undefined {
  const [certFile, keyFile] = [path.join(folder, 'bench.crt'), path.join(folder, 'bench.key')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
  const args = ['req', '-x509', ...key, '-days', '2', '-subj', '/CN=localhost', '-out', certFile]
  try {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch {
    return undefined
  }
  return { certFile, keyFile }
}
