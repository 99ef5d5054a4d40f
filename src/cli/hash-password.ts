/**
 * `regis hash-password`: a password in, a hash for `password_hash` out. Never takes it as an argument, where `ps` and the
 * shell's history would keep it. ~ terminal in raw mode, files.
 */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { hashPassword } from '../tenant/password.ts'
import { type CliContext, examples, exitCodes } from './context.ts'

interface HashOptions {
  readonly passwordFile?: string
  readonly scheme: 'scrypt' | 'sha256'
  readonly json?: true
}

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('hash-password')
    .description('read a password, hidden on a terminal or from stdin, and print its hash for password_hash')
    .addOption(new Option('--password-file <file>', 'read it from a file; the newline at its end is not part of it'))
    .addOption(
      new Option('--scheme <scheme>', 'sha256 is for generated secrets only: it is fast to guess')
        .choices(['scrypt', 'sha256'])
        .default('scrypt'),
    )
    .option('--json', 'as JSON')
    .allowExcessArguments()
    .action(async (options: HashOptions, command: Command) => {
      if (command.args.length > 0) {
        context.stderr.write(
          'regis hash-password: the password is not an argument (ps would show it): type it, or pipe it in\n',
        )
        return context.exit(exitCodes.usage)
      }
      const password = await readPassword(options, context)
      if (typeof password !== 'string') {
        context.stderr.write(`regis hash-password: ${password.problem}\n`)
        return context.exit(exitCodes.runtime)
      }
      const hash = await hashPassword(Buffer.from(password), options.scheme)
      context.stdout.write(options.json ? `${JSON.stringify({ scheme: options.scheme, hash })}\n` : `${hash}\n`)
    })
  examples(
    verb,
    'regis hash-password',
    'regis hash-password --password-file /run/secrets/shop',
    'openssl rand -base64 32 | tee secret.txt | regis hash-password --scheme sha256',
  )
}

async function readPassword(options: HashOptions, context: CliContext): Promise<string | { problem: string }> {
  let password: string
  if (options.passwordFile !== undefined) {
    try {
      password = withoutNewline(readFileSync(options.passwordFile, 'utf8'))
    } catch (error) {
      return { problem: `${options.passwordFile} cannot be read: ${(error as NodeJS.ErrnoException).code}` }
    }
  } else {
    const input = context.stdin ?? process.stdin
    if (isTerminal(input)) {
      password = await ask(input, context, 'Password: ')
      if ((await ask(input, context, 'Again: ')) !== password) return { problem: 'the two are not the same' }
    } else password = withoutNewline(await readAll(input))
  }
  return password === '' ? { problem: 'the password is empty' } : password
}

type Terminal = NodeJS.ReadableStream & { setRawMode(isRaw: boolean): unknown }
function isTerminal(stream: NodeJS.ReadableStream): stream is Terminal {
  return 'isTTY' in stream && stream.isTTY === true && 'setRawMode' in stream
}

/** One line without echo. Ctrl-C and Ctrl-D end it; backspace works. */
function ask(input: Terminal, context: CliContext, prompt: string): Promise<string> {
  context.stderr.write(prompt)
  input.setRawMode(true)
  input.setEncoding('utf8')
  input.resume()
  return new Promise((resolve, reject) => {
    let line = ''
    const done = (finish: () => void) => {
      input.setRawMode(false)
      input.pause()
      input.removeListener('data', onData)
      context.stderr.write('\n')
      finish()
    }
    const onData = (chunk: string | Buffer) => {
      for (const key of String(chunk)) {
        if (key === '\r' || key === '\n') return done(() => resolve(line))
        if (key === '\u0003' || key === '\u0004') return done(() => reject(new Error('ended by the keyboard')))
        if (key === '\u007f' || key === '\b') line = [...line].slice(0, -1).join('')
        else line += key
      }
    }
    input.on('data', onData)
  })
}

async function readAll(input: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of input) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

function withoutNewline(text: string): string {
  return text.replace(/\r?\n$/, '')
}
