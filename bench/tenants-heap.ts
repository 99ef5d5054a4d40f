/** A child of tenants.bench.ts: a proxy that is built and not started, and what it holds behind garbage collection. ~ prints. */
import { silentLog } from '../src/base/log.ts'
import { type Loaded, loadConfig } from '../src/config/load.ts'
import { RegisProxy } from '../src/proxy.ts'

let loaded: Loaded | undefined = loadConfig(process.argv[2]!, { env: {} })
if (loaded.config === undefined) throw new Error(JSON.stringify(loaded.errors[0]))
const proxy = new RegisProxy({ config: loaded.config, log: silentLog, version: 'bench' })
loaded = undefined
const collect = (globalThis as { gc?: () => void }).gc!
collect()
collect()
const { heapUsed, external } = process.memoryUsage()
process.stdout.write(JSON.stringify({ heap: heapUsed, external, ports: proxy.ports.length }))
process.exit(0)
