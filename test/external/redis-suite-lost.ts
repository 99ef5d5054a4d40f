/**
 * Tests of Redis's suite that a tenant of Regis does not pass, and why: what they ask for belongs to whoever runs the servers,
 * would show other tenants, or is a limit that docs/not-yet.md names. A test that is lost and not named here is a bug. Names
 * are the suite's own.
 */
const reasons: readonly (readonly [why: string, ...names: (string | RegExp)[]])[] = [
  [
    'RESTORE, FUNCTION DUMP and FUNCTION RESTORE are refused: a payload made by hand can stop a server',
    /^(DUMP \/ )?RESTORE /,
    /^(Hash|List) ziplist of various encodings/,
    /^Loading from legacy/,
    /^FUNCTION - test function dump and restore/,
    /^FUNCTION - test function restore/,
    'FUNCTION - verify OOM on function load and function restore',
    'FUNCTION - verify allow-omm allows running any command', // it calls what the test before has restored
  ],
  [
    "INFO shows a tenant nothing of the server's memory, CPU, errors and calls of commands",
    'trim on SET with big value',
    /^Test (LPUSH and LPOP|LREM) on plain nodes$/,
    /^info command with /,
    'XGROUP DESTROY should unblock XREADGROUP with -NOGROUP',
    /^(command|errors) stats for /,
    'SETBIT/BITFIELD only increase dirty when the value changed',
    'SCRIPTING FLUSH ASYNC',
    'Consistent eval error reporting',
    /^LUA redis.error_reply API/,
    /can reclaim memory in background$/,
    /^lazy free a stream/,
    'Test ASYNC flushall',
    'Tracking info is correct',
    'Tracking invalidation message of eviction keys should be before response', // waits for what INFO says of lazy freeing
  ],
  [
    "LATENCY shows a tenant nothing: the server's list holds what all tenants' commands took",
    /^LATENCY (HISTOGRAM|RESET) /,
    'Test latency events logging',
    'LATENCY of expire events are correctly collected',
  ],
  [
    'FLUSHDB and other walks are refused between MULTI and EXEC',
    'flushdb tracking invalidation message is not interleaved with transaction response',
  ],
  [
    'SYNC, SAVE, SHUTDOWN, MIGRATE, ACL SETUSER, CONFIG RESETSTAT, PFDEBUG and PFSELFTEST are refused',
    /Lazy-expire should not be wrapped in MULTI\/EXEC$/,
    /^MULTI with (SAVE|SHUTDOWN)$/,
    'RESET clears authenticated state',
    'Script ACL check',
    'COMMAND LIST FILTERBY PATTERN - list all commands/subcommands',
    'MIGRATE command is marked with movablekeys',
    /^HyperLogLog/,
    /^PFCOUNT multiple-keys merge/,
    /^PFDEBUG GETREG/,
    'PFADD / PFCOUNT cache invalidation works', // the unit ends before it
    'MIGRATE cached connections are released after some time',
  ],
  ['DBSIZE is a walk, which does not count what has expired', 'Redis should lazy expire keys'],
  [
    'commands between MULTI and EXEC are queued by Regis; the server and its memory see them at EXEC',
    'EXEC fails if there are errors while queueing commands #2',
    'DISCARD should not fail during OOM',
    'MULTI and script timeout',
    'MULTI-EXEC body and script timeout',
    'EXEC with only read commands should not be rejected when OOM',
    'EXEC with at least one use-memory command should fail',
    'Regression test for #11715',
  ],
  [
    'PING is answered by Regis, which is not busy while the server is',
    /^Timedout /,
    /^FUNCTION - test (function|script) kill/,
  ],
  [
    'what the server did for an operator (DEBUG SLEEP) or Regis answers itself (PING) is not in a tenant’s SLOWLOG, and ten entries hold little beside the proxy’s own questions',
    /^SLOWLOG - /,
  ],
  [
    'CLIENT LIST has 0 where the proxy has no number; MONITOR shows no commands inside scripts, and queued ones when they are queued',
    /^CLIENT (LIST|INFO)$/,
    /^MONITOR can log commands issued by/,
  ],
  [
    'scripts may not call DEBUG',
    /^test RESP[23]\/[23] /,
    'test resp3 attribute protocol parsing',
    'Script block the time during execution',
  ],
  ["SORT with GET is refused in scripts: Redis refuses it to a tenant's user", /^SORT BY <constant> with GET/],
  [
    'the redis of scripts and libraries is that of a prelude: its table can be written to, and texts differ',
    'Try trick global protection 3',
    'Try trick readonly table on redis table',
    'LIBRARIES - malicious access test',
    'LIBRARIES - register function inside a function',
    'LIBRARIES - named arguments, unknown argument',
    /^LIBRARIES - redis\.(call|setresp|set_repl) from function load$/,
  ],
  [
    'a first line of a script that is not plain is refused in one text',
    'Shebang support for lua engine',
    /^Unknown shebang (option|flag)$/,
  ],
]

/**
 * Lost ones that read a message which does not come, or fail where the tests behind them need what they leave: not run through
 * Regis, or those would be lost with them.
 */
export const notRun: readonly string[] = [
  'Tracking info is correct',
  'MONITOR can log commands issued by the scripting engine',
  'MONITOR can log commands issued by functions',
]

/** Undefined: there is none, and the loss is a bug. */
export function reasonFor(test: string): string | undefined {
  return reasons.find(([, ...names]) =>
    names.some((name) => (typeof name === 'string' ? name === test : name.test(test))),
  )?.[0]
}
