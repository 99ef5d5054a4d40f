/**
 * Redis's own test suite (Tcl) and a tclsh to run it, from Debian: the source package `redis` and the packages of Tcl, in
 * folders of their own under .cache/, no root needed, nothing installed and nothing of it kept in this repository. ~ touches
 * files, child processes and, through apt-get, the network.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

export interface Suite {
  /** The unpacked source of Redis: tests/test_helper.tcl is in it. */
  readonly folder: string
  readonly tclsh: string
  readonly env: Readonly<Record<string, string>>
  readonly version: string
}

const tclPackages = ['tcl8.6', 'libtcl8.6']

export function fetchSuite(cacheRoot: string, redisCli: string): Suite {
  const at = path.join(cacheRoot, 'redis-suite')
  if (!existsSync(path.join(at, 'done'))) {
    const fresh = `${at}.${process.pid}`
    try {
      download(fresh)
      rmSync(at, { recursive: true, force: true })
      renameSync(fresh, at)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  }
  const source = readdirSync(at).find((name) => /^redis-\d/.test(name))!
  const folder = path.join(at, source)
  patch(folder)
  // The suite looks for programs where a build leaves them.
  const cli = path.join(folder, 'src/redis-cli')
  writeFileSync(cli, `#!/bin/sh\nexec '${redisCli}' "$@"\n`)
  chmodSync(cli, 0o755)
  const root = path.join(at, 'root')
  const libraries = readdirSync(path.join(root, 'usr/lib')).map((name) => path.join(root, 'usr/lib', name))
  return {
    folder,
    tclsh: path.join(root, 'usr/bin/tclsh8.6'),
    env: { LD_LIBRARY_PATH: libraries.join(':'), TCL_LIBRARY: path.join(root, 'usr/share/tcltk/tcl8.6'), TERM: 'dumb' },
    version: source.slice('redis-'.length),
  }
}

function download(into: string): void {
  for (const name of ['lists/partial', 'cache', 'debs', 'root', 'sources'])
    mkdirSync(path.join(into, name), { recursive: true })
  writeSources(path.join(into, 'sources'))
  const apt = [
    ...['-q', '-o', 'Dir::Etc::sourcelist=-', '-o', `Dir::Etc::sourceparts=${path.join(into, 'sources')}`],
    ...['-o', `Dir::State::Lists=${path.join(into, 'lists')}`, '-o', `Dir::Cache=${path.join(into, 'cache')}`],
    ...['-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Languages=none'],
  ]
  const run = (command: string, args: readonly string[], cwd = into): void => {
    execFileSync(command, [...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  process.stderr.write("fetching Redis's test suite and Tcl of this system's package archive ...\n")
  run('apt-get', [...apt, 'update'])
  const debs = path.join(into, 'debs')
  run('apt-get', [...apt, 'download', ...tclPackages], debs)
  run('apt-get', [...apt, 'source', '--download-only', 'redis'], debs)
  for (const name of readdirSync(debs)) {
    const file = path.join(debs, name)
    if (name.endsWith('.deb')) run('dpkg', ['-x', file, path.join(into, 'root')])
    if (name.includes('.orig.tar')) run('tar', ['xf', file])
  }
  for (const name of ['lists', 'cache', 'debs', 'sources']) rmSync(path.join(into, name), { recursive: true })
  writeFileSync(path.join(into, 'done'), '')
}

/** The system's own sources, with source packages too. */
function writeSources(into: string): void {
  const parts = '/etc/apt/sources.list.d'
  const names = existsSync(parts) ? readdirSync(parts) : []
  const files = ['/etc/apt/sources.list', ...names.map((name) => path.join(parts, name))].filter((file) =>
    existsSync(file),
  )
  for (const file of files) {
    const text = readFileSync(file, 'utf8')
    const name = path.basename(file)
    if (file.endsWith('.sources')) {
      writeFileSync(path.join(into, name), text.replaceAll(/^Types:.*$/gm, 'Types: deb deb-src'))
    } else if (file.endsWith('.list')) {
      const more = text
        .split('\n')
        .flatMap((line) => (line.startsWith('deb ') ? [line.replace('deb ', 'deb-src ')] : []))
      writeFileSync(path.join(into, name), [text, ...more, ''].join('\n'))
    }
  }
}

/**
 * CONFIG and DEBUG are an operator's: in both runs they go straight to the server, over a connection of their own, so that tests
 * which only set a threshold with them can be run by a tenant. DEBUG of a key means the tenant's key.
 */
const operator = `
# Not of Redis: an operator's commands, for runs as a tenant.
proc ::redis::recover {} {
    foreach command {{script kill} {function kill} {config set maxmemory 0}} {
        catch { ::redis::operator [lindex $command 0] [lrange $command 1 end] }
    }
    after 50
    reconnect
}
proc ::redis::operator {method argv} {
    if {![info exists ::redis::operator_fd]} {
        set ::redis::operator_fd [socket 127.0.0.1 $::env(SUITE_OPERATOR_PORT)]
        fconfigure $::redis::operator_fd -translation binary
    }
    if {[string tolower $method] eq {debug} && [string tolower [lindex $argv 0]] in {object listpack ziplist htstats-key digest-value}} {
        set names [lmap name [lrange $argv 1 end] {expr {"$::env(SUITE_PREFIX)$name"}}]
        set argv [linsert $names 0 [lindex $argv 0]]
    }
    set fd $::redis::operator_fd
    set cmd "*[expr {[llength $argv]+1}]\\r\\n$[string length $method]\\r\\n$method\\r\\n"
    foreach a $argv { append cmd "$[string length $a]\\r\\n$a\\r\\n" }
    puts -nonewline $fd $cmd
    flush $fd
    set ::redis::readraw(operator) 0
    return [::redis::redis_read_reply operator $fd]
}
`

function patch(folder: string): void {
  const edit = (name: string, changes: readonly (readonly [before: string, after: string])[]): void => {
    const file = path.join(folder, 'tests/support', name)
    let text = readFileSync(file, 'utf8')
    if (text.includes(mark)) return
    for (const [before, after] of changes) {
      if (!text.includes(before)) throw new Error(`this suite is another one: ${name} does not hold ${before}`)
      text = text.replaceAll(before, () => after)
    }
    writeFileSync(file, `${mark}\n${text}`)
  }
  const dispatch = 'proc ::redis::__dispatch__raw__ {id method argv} {\n'
  const read = 'proc ::redis::__method__read {id fd} {\n'
  edit('redis.tcl', [
    [
      dispatch,
      `${operator}\n${dispatch}    if {[string tolower $method] in {config debug bgrewriteaof bgsave} && $::redis::blocking($id)} {
        if {!$::redis::deferred($id)} { return [::redis::operator $method $argv] }
        set code [catch {::redis::operator $method $argv} reply]
        lappend ::redis::told($id) [list $code $reply]
        return
    }
`,
    ],
    // A client that reads its replies later gets the operator's reply when it next reads.
    [
      read,
      `${read}    if {[info exists ::redis::told($id)] && [llength $::redis::told($id)] > 0} {
        lassign [lindex $::redis::told($id) 0] code reply
        set ::redis::told($id) [lrange $::redis::told($id) 1 end]
        return -code $code $reply
    }
`,
    ],
  ])
  // INFO shows a tenant no rewriting, and DEBUG LOADAOF in the middle of one ends the server.
  const operatorInfo = (name: string): [string, string] => [
    `[status $r ${name}]`,
    `[getInfoProperty [::redis::operator info {persistence}] ${name}]`,
  ]
  edit('util.tcl', [operatorInfo('rdb_bgsave_in_progress'), operatorInfo('aof_rewrite_in_progress')])
  // A test that fails in the middle of a transaction, or while a script runs or memory is full, must not fail those behind it.
  const failed = '            lappend ::tests_failed $details\n'
  edit('test.tcl', [[failed, `${failed}            if {$::external} { catch { ::redis::recover } }\n`]])
}

const mark = '# Changed for runs as a tenant of Regis.'
