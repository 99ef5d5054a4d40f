/** `regis init`: a proxy.yaml to begin with. Asks nothing. ~ writes a file. */
import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type CliContext, defaultConfigFile, examples, exitCodes } from './context.ts'

export function register(program: Command, context: CliContext): void {
  const verb = program
    .command('init')
    .description('write a small proxy.yaml with comments')
    .argument('[file]', 'where to', defaultConfigFile)
    .option('--force', 'even over a file that is there')
    .action((file: string, options: { force?: true }) => {
      try {
        writeFileSync(file, starterFile, { flag: options.force ? 'w' : 'wx' })
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        const reason = code === 'EEXIST' ? 'is there already; --force writes over it' : `cannot be written: ${message}`
        context.stderr.write(`regis init: ${file} ${reason}\n`)
        return context.exit(exitCodes.runtime)
      }
      const named = file === defaultConfigFile ? '' : ` -c ${file}`
      context.stdout.write(`Wrote ${file}. Now: regis check${named}, then regis run${named}\n`)
    })
  examples(verb, 'regis init', 'regis init /etc/regis/proxy.yaml', 'regis init --force')
}

/** `regis check` accepts it as it is. */
export const starterFile = `# Configuration of Regis. Every key is in docs/config.md; \`regis check\` says what is wrong, all at once.
# For completion in an editor: regis schema > proxy.schema.json
# yaml-language-server: $schema=./proxy.schema.json

# Where this proxy runs. The same file serves every region: REGION=us-east regis run, or regis run --region us-east.
region: \${REGION:-here}

# The region in which the primary is looked for first; roles come from the servers themselves.
primary: here

regions:
  here:
    nodes: [redis://127.0.0.1:6379]
  # us-east:
  #   nodes: [rediss://us-1.example.com:6379]

# How to log in at the nodes.
# upstream: { username: regis, password: "\${file:/run/secrets/upstream}" }

# A tenant sees only keys that begin with its prefix, and does not see the prefix.
tenants:
  shop:
    # What its reads are promised: eventual, bounded, session (its own writes, never backwards) or strong.
    consistency: session
    users:
      # redis-cli -p 6380 --user shop-app --pass "$SHOP_PASSWORD". A hash instead: regis hash-password
      shop-app: { password: "\${SHOP_PASSWORD:-change-me}" }
`
