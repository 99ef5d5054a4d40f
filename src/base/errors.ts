/**
 * Every error that Regis itself writes to a client, one row each. Texts in Redis's own words are Redis's; where Redis
 * has no word the code is new (THROTTLED, UNCERTAIN). `fate` says what became of the command: `notExecuted` is safe to
 * retry, `unknown` may have run, `done` has run. A row with `closes` ends the connection after the reply.
 * docs/errors.md is generated from this table.
 */
export interface ErrorRow {
  /** First word and text, without the leading '-' and the trailing CRLF. `%s` is filled by `errorText`. */
  readonly text: string
  readonly fate: 'notExecuted' | 'unknown' | 'done'
  readonly closes?: true
  /** When a client sees it: for docs/errors.md. */
  readonly when: string
}

export const errors = {
  NOAUTH: {
    text: 'NOAUTH Authentication required.',
    fate: 'notExecuted',
    when: 'a command before AUTH',
  },
  NOAUTH_HELLO: {
    text: 'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    fate: 'notExecuted',
    when: 'HELLO without AUTH before authentication',
  },
  WRONGPASS: {
    text: 'WRONGPASS invalid username-password pair or user is disabled.',
    fate: 'notExecuted',
    when: 'wrong password, unknown user or unknown tenant: one text for all',
  },
  NOPROTO: {
    text: 'NOPROTO unsupported protocol version',
    fate: 'notExecuted',
    when: 'HELLO with a version other than 2 and 3, or 3 where no node speaks RESP3',
  },
  UNKNOWN_COMMAND: {
    text: "ERR unknown command '%s', with args beginning with: %s",
    fate: 'notExecuted',
    when: 'the command table does not know the command; it is never forwarded',
  },
  UNKNOWN_SUBCOMMAND: {
    text: "ERR unknown subcommand '%s'. Try %s HELP.",
    fate: 'notExecuted',
    when: 'the command table does not know the subcommand',
  },
  WRONG_ARITY: {
    text: "ERR wrong number of arguments for '%s' command",
    fate: 'notExecuted',
    when: 'too few or too many arguments',
  },
  NOPERM: {
    text: "NOPERM this user has no permissions to run the '%s' command",
    fate: 'notExecuted',
    when: 'the command is denied to tenants, or to this user',
  },
  OOM: {
    text: "OOM command not allowed when used memory > 'maxmemory'.",
    fate: 'notExecuted',
    when: "a command that may take memory (Redis's denyoom flag), while the tenant has as much memory or as many keys as its quota lets it have; reads and deletes go on",
  },
  OOM_SCRIPT: {
    text: "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
    fate: 'notExecuted',
    when: 'the same for a script or function, unless its first line says `no-writes` or `allow-oom`',
  },
  SYNTAX: { text: 'ERR syntax error', fate: 'notExecuted', when: 'arguments that the command does not know' },
  NUMKEYS: {
    text: "ERR Number of keys can't be greater than number of args",
    fate: 'notExecuted',
    when: 'a key count larger than what follows it',
  },
  DB_INDEX: {
    text: 'ERR DB index is out of range',
    fate: 'notExecuted',
    when: 'SELECT, MOVE or COPY ... DB with a database that the tenant does not have',
  },
  INT_RANGE: {
    text: 'ERR value is out of range, value must between -2147483648 and 2147483647',
    fate: 'notExecuted',
    when: 'a number of a database that no C int can hold',
  },
  SAME_OBJECT: {
    text: 'ERR source and destination objects are the same',
    fate: 'notExecuted',
    when: 'MOVE to the database in which the key is',
  },
  NOT_INTEGER: {
    text: 'ERR value is not an integer or out of range',
    fate: 'notExecuted',
    when: 'a number was expected',
  },
  INVALID_CURSOR: {
    text: 'ERR invalid cursor',
    fate: 'notExecuted',
    when: 'SCAN with a cursor that is none of this tenant, or whose node is gone or was restarted',
  },
  KEYS_TOO_MANY: {
    text: 'ERR the names are more than KEYS may return here, use SCAN',
    fate: 'notExecuted',
    when: 'KEYS of more than 64 MiB of names, counting 64 bytes for each besides its length',
  },
  PATTERN_TOO_COSTLY: {
    text: 'ERR pattern too long to match against such long names',
    fate: 'notExecuted',
    when: 'SCAN or KEYS where pattern bytes times name bytes exceed 2^26',
  },
  FLUSH_PART: {
    text: 'UNCERTAIN the primary was lost, some keys were deleted and some may not be',
    fate: 'unknown',
    when: 'FLUSHDB or FLUSHALL whose primary was lost on the way; it is safe to repeat',
  },
  MONITOR_KEYSPACE: {
    text: "ERR Replica can't interact with the keyspace",
    fate: 'notExecuted',
    when: 'a command that reads or writes keys, on a connection in MONITOR',
  },
  MONITORS_MAX: {
    text: 'ERR max number of monitors reached for this tenant',
    fate: 'notExecuted',
    when: 'more than 8 connections of one tenant in MONITOR',
  },
  CLUSTER_DISABLED: {
    text: 'ERR This instance has cluster support disabled',
    fate: 'notExecuted',
    when: 'CLUSTER and ASKING: to a client Regis is one server',
  },
  SUBCOMMAND_ARGS: {
    text: "ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
    fate: 'notExecuted',
    when: 'too many arguments for a subcommand that takes some',
  },
  ACL_CATEGORY: { text: "ERR Unknown category '%s'", fate: 'notExecuted', when: 'ACL CAT of a category that is none' },
  ACL_GENPASS: {
    text: 'ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096',
    fate: 'notExecuted',
    when: 'ACL GENPASS with another number of bits',
  },
  SLOWLOG_COUNT: {
    text: 'ERR count should be greater than or equal to -1',
    fate: 'notExecuted',
    when: 'SLOWLOG GET with another count',
  },
  LATENCY_NO_SAMPLES: {
    text: "ERR No samples available for event '%s'",
    fate: 'notExecuted',
    when: 'LATENCY GRAPH: the proxy keeps no samples of events',
  },
  CLIENT_TYPE: {
    text: "ERR Unknown client type '%s'",
    fate: 'notExecuted',
    when: 'CLIENT LIST or KILL with a TYPE that is none',
  },
  CLIENT_ID_INVALID: { text: 'ERR Invalid client ID', fate: 'notExecuted', when: 'CLIENT LIST ID with no number' },
  CLIENT_ID_POSITIVE: {
    text: 'ERR client-id should be greater than 0',
    fate: 'notExecuted',
    when: 'CLIENT KILL ID with no positive number',
  },
  CLIENT_NONE: {
    text: 'ERR No such client',
    fate: 'notExecuted',
    when: 'CLIENT KILL of an address that no connection of this tenant has, PROXY KILL of an id that nobody has',
  },
  CLIENT_USER: {
    text: "ERR No such user '%s'",
    fate: 'notExecuted',
    when: 'CLIENT KILL USER with a name that is none of this tenant',
  },
  UNBLOCK_REASON: {
    text: 'ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR',
    fate: 'notExecuted',
    when: 'CLIENT UNBLOCK with another reason',
  },
  MBULK_LENGTH: {
    text: 'ERR Protocol error: invalid multibulk length',
    fate: 'notExecuted',
    closes: true,
    when: 'an array header that is not a number, or above 1,048,576',
  },
  BULK_LENGTH: {
    text: 'ERR Protocol error: invalid bulk length',
    fate: 'notExecuted',
    closes: true,
    when: 'a bulk header that is not a number, is negative, or above limits.max_request',
  },
  EXPECTED_BULK: {
    text: "ERR Protocol error: expected '$', got '%s'",
    fate: 'notExecuted',
    closes: true,
    when: 'an argument that is not a bulk string',
  },
  EXPECTED_CRLF: {
    text: 'ERR Protocol error: expected CRLF after bulk',
    fate: 'notExecuted',
    closes: true,
    when: 'a bulk string whose length is not what follows it',
  },
  BIG_INLINE: {
    text: 'ERR Protocol error: too big inline request',
    fate: 'notExecuted',
    closes: true,
    when: '64 KiB of an inline command without a newline',
  },
  BIG_MBULK_COUNT: {
    text: 'ERR Protocol error: too big mbulk count string',
    fate: 'notExecuted',
    closes: true,
    when: "64 KiB after '*' without a newline",
  },
  BIG_BULK_COUNT: {
    text: 'ERR Protocol error: too big bulk count string',
    fate: 'notExecuted',
    closes: true,
    when: "64 KiB after '$' without a newline",
  },
  UNBALANCED_QUOTES: {
    text: 'ERR Protocol error: unbalanced quotes in request',
    fate: 'notExecuted',
    closes: true,
    when: 'an inline command with an open quote',
  },
  UNAUTH_MBULK: {
    text: 'ERR Protocol error: unauthenticated multibulk length',
    fate: 'notExecuted',
    closes: true,
    when: 'more than 10 arguments before AUTH',
  },
  UNAUTH_BULK: {
    text: 'ERR Protocol error: unauthenticated bulk length',
    fate: 'notExecuted',
    closes: true,
    when: 'an argument above 16,384 bytes before AUTH',
  },
  TOO_BIG_REQUEST: {
    text: 'ERR Protocol error: request above limits.max_request',
    fate: 'notExecuted',
    closes: true,
    when: 'one request of more bytes than limits.max_request',
  },
  MAX_CLIENTS: {
    text: 'ERR max number of clients reached',
    fate: 'notExecuted',
    closes: true,
    when: 'limits.max_clients connections are open',
  },
  NO_PRIMARY: {
    text: 'MASTERDOWN no reachable primary, command not executed',
    fate: 'notExecuted',
    when: 'a command that needs the primary, and none was found within the wait budget',
  },
  SPLIT: {
    text: 'MASTERDOWN more than one node says it is the primary, command not executed',
    fate: 'notExecuted',
    when: 'two masters answer: writes are refused until one is left',
  },
  NO_NODE: {
    text: 'TRYAGAIN no node satisfies the requested consistency, command not executed',
    fate: 'notExecuted',
    when: 'a read for which no node can be proven fresh enough, or whose node was lost before the reply',
  },
  NO_NODE_WITHIN: {
    text: 'TRYAGAIN no node within max staleness %s ms, command not executed',
    fate: 'notExecuted',
    when: 'a bounded read while every replica is too old and the primary is away',
  },
  FALLBACK_LIMIT: {
    text: 'TRYAGAIN reads from the primary are limited, command not executed',
    fate: 'notExecuted',
    when: 'a session or bounded read that no replica is fresh enough for, above `routing.fallback_limit`',
  },
  SHOW_WHAT: {
    text: 'ERR PROXY SHOW takes one of %s',
    fate: 'notExecuted',
    when: 'PROXY SHOW of something else',
  },
  RELOAD_REFUSED: {
    text: 'ERR configuration refused, nothing has changed: %s',
    fate: 'notExecuted',
    when: 'PROXY RELOAD of a file that is not valid, or with a change that a running proxy cannot take',
  },
  EXPLAIN_LIMIT: {
    text: 'ERR a command of more than %s arguments is not explained',
    fate: 'notExecuted',
    when: 'PROXY EXPLAIN of a very long command',
  },
  UNCERTAIN: {
    text: 'UNCERTAIN connection to primary lost before the reply, command may have been executed',
    fate: 'unknown',
    when: 'a write was sent and its reply was lost; it is never sent again',
  },
  NO_DEFAULT_PASSWORD: {
    text: 'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    fate: 'notExecuted',
    when: 'AUTH with one argument where the user `default` needs no password',
  },
  HELLO_VERSION: {
    text: 'ERR Protocol version is not an integer or out of range',
    fate: 'notExecuted',
    when: 'HELLO with a version that is no number',
  },
  HELLO_OPTION: {
    text: "ERR Syntax error in HELLO option '%s'",
    fate: 'notExecuted',
    when: 'an option that HELLO does not know',
  },
  CLIENT_NAME: {
    text: 'ERR Client names cannot contain spaces, newlines or special characters.',
    fate: 'notExecuted',
    when: 'CLIENT SETNAME or HELLO SETNAME with such a name',
  },
  CLIENT_INFO_VALUE: {
    text: 'ERR %s cannot contain spaces, newlines or special characters.',
    fate: 'notExecuted',
    when: 'CLIENT SETINFO with such a value',
  },
  CLIENT_INFO_OPTION: {
    text: "ERR Unrecognized option '%s'",
    fate: 'notExecuted',
    when: 'CLIENT SETINFO with an unknown attribute',
  },
  BAD_TOKEN: {
    text: 'ERR invalid session token',
    fate: 'notExecuted',
    when: 'PROXY AFTER with what is no token of this tenant, or of a deployment with another password for its servers',
  },
  TOKEN_UNSETTLED: {
    text: 'TRYAGAIN a write of unknown fate is not settled yet, command not executed',
    fate: 'notExecuted',
    when: 'PROXY TOKEN while a lost write of the tenant may still run: what it would have to cover is not known',
  },
  UNKNOWN_LEVEL: {
    text: "ERR unknown consistency level '%s', expected eventual, bounded, session, strong or default",
    fate: 'notExecuted',
    when: 'PROXY CONSISTENCY with a word that is no level',
  },
  THROTTLED: {
    text: 'THROTTLED rate limit exceeded for this tenant, retry after %s ms',
    fate: 'notExecuted',
    when: "the tenant's, or the user's, `ops` or `bandwidth` are used up, and waiting for up to 50 ms did not help; EXEC is refused whole, and its transaction is over",
  },
  MAX_TENANT_CLIENTS: {
    text: 'ERR max number of clients reached for this tenant',
    fate: 'notExecuted',
    closes: true,
    when: 'the connections of the tenant, or of the user, are used up: at AUTH or HELLO; those that are open stay',
  },
  MAX_LEASES: {
    text: 'ERR max number of blocking clients reached for this tenant',
    fate: 'notExecuted',
    when: "too many of the tenant's clients are blocked, watch keys or run scripts",
  },
  NESTED_MULTI: {
    text: 'ERR MULTI calls can not be nested',
    fate: 'notExecuted',
    when: 'MULTI inside a transaction',
  },
  EXEC_WITHOUT_MULTI: { text: 'ERR EXEC without MULTI', fate: 'notExecuted', when: 'EXEC outside a transaction' },
  DISCARD_WITHOUT_MULTI: {
    text: 'ERR DISCARD without MULTI',
    fate: 'notExecuted',
    when: 'DISCARD outside a transaction',
  },
  WATCH_INSIDE_MULTI: {
    text: 'ERR WATCH inside MULTI is not allowed',
    fate: 'notExecuted',
    when: 'WATCH inside a transaction',
  },
  NOT_IN_MULTI: {
    text: 'ERR Command not allowed inside a transaction',
    fate: 'notExecuted',
    when: 'a command that cannot be queued between MULTI and EXEC',
  },
  TRANSACTION_LIMIT: {
    text: 'ERR transaction queue limit exceeded',
    fate: 'notExecuted',
    when: 'more than a million commands, or 64 MiB of them, between MULTI and EXEC',
  },
  EXECABORT: {
    text: 'EXECABORT Transaction discarded because of previous errors.',
    fate: 'notExecuted',
    when: 'EXEC after a command that was refused between MULTI and EXEC',
  },
  EXECABORT_BECAUSE: {
    text: 'EXECABORT Transaction discarded because of: %s',
    fate: 'notExecuted',
    when: 'an EXEC that is refused itself: with arguments, or before AUTH',
  },
  TRACKING_REDIRECT: {
    text: 'ERR The client ID you want redirect to does not exist',
    fate: 'notExecuted',
    when: 'CLIENT TRACKING ... REDIRECT to no connection of this tenant',
  },
  SCRIPT_TOO_LONG: {
    text: 'ERR script or library above 16 MiB',
    fate: 'notExecuted',
    when: 'EVAL, SCRIPT LOAD or FUNCTION LOAD with such a body',
  },
  CLIENT_LIST_LIMIT: {
    text: 'ERR CLIENT LIST is limited to 10000 ids and 16 MiB',
    fate: 'notExecuted',
    when: 'CLIENT LIST with more ids, or with more to say',
  },
  TRACKING_LIMIT: {
    text: 'ERR CLIENT TRACKING prefixes are limited to 8 KiB together',
    fate: 'notExecuted',
    when: 'CLIENT TRACKING with longer ones',
  },
  TRACKING_TWICE: {
    text: 'ERR A client can only redirect to a single other client',
    fate: 'notExecuted',
    when: 'CLIENT TRACKING with REDIRECT twice',
  },
  CACHING_MODE: {
    text: 'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
    fate: 'notExecuted',
    when: 'CLIENT CACHING without tracking',
  },
  UNBLOCKED: {
    text: 'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    fate: 'notExecuted',
    closes: true,
    when: 'a blocked client of a proxy that is going down',
  },
  NUMKEYS_POSITIVE: {
    text: 'ERR numkeys should be greater than 0',
    fate: 'notExecuted',
    when: 'LMPOP, ZMPOP or SINTERCARD with a key count that is not a positive number',
  },
  NUMKEYS_RANGE: {
    text: 'ERR invalid numkeys value or out of range',
    fate: 'notExecuted',
    when: 'MSETEX with a key count that is not a positive number',
  },
  NUMKEYS_FUNCTION: {
    text: 'ERR Bad number of keys provided',
    fate: 'notExecuted',
    when: 'FCALL with a key count that is no number',
  },
  NUMKEYS_NEGATIVE: {
    text: "ERR Number of keys can't be negative",
    fate: 'notExecuted',
    when: 'a script with a negative key count',
  },
  NO_INPUT_KEY: {
    text: "ERR at least 1 input key is needed for '%s' command",
    fate: 'notExecuted',
    when: 'ZUNION, ZINTER, ZDIFF and their kin with a key count below 1',
  },
  UNBALANCED_STREAMS: {
    text: "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
    fate: 'notExecuted',
    when: 'XREAD or XREADGROUP with an odd number of arguments after STREAMS',
  },
  SUBSCRIBER_CONTEXT: {
    text: "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
    fate: 'notExecuted',
    when: 'any other command on a RESP2 connection that has subscriptions',
  },
  NOPERM_CHANNEL: {
    text: 'NOPERM this user has no permissions to access one of the channels used as arguments',
    fate: 'notExecuted',
    when: "the servers' user of the proxy may not subscribe to the channel",
  },
  SUBSCRIBE_REFUSED: {
    text: 'ERR the server refuses the subscription',
    fate: 'notExecuted',
    when: 'SSUBSCRIBE where a server is older than Redis 7',
  },
  CHANNEL_NAME: {
    text: 'ERR channel name or pattern too long',
    fate: 'notExecuted',
    when: 'SUBSCRIBE to a channel above 8 KiB, or PSUBSCRIBE to a pattern above 1 KiB',
  },
  MAX_SUBSCRIPTIONS: {
    text: 'ERR max number of subscriptions reached',
    fate: 'notExecuted',
    when: 'the client (16,384), its tenant (262,144, or 16 MiB of names) or all tenants together have too many subscriptions',
  },
  PUBSUB_SUBCOMMAND: {
    text: "ERR unknown subcommand or wrong number of arguments for '%s'. Try PUBSUB HELP.",
    fate: 'notExecuted',
    when: 'PUBSUB CHANNELS or SHARDCHANNELS with more than a pattern',
  },
  GETKEYS_NO_COMMAND: {
    text: 'ERR Invalid command specified',
    fate: 'notExecuted',
    when: 'COMMAND GETKEYS of a command that does not exist, or is denied to tenants',
  },
  GETKEYS_ARITY: {
    text: 'ERR Invalid number of arguments specified for command',
    fate: 'notExecuted',
    when: 'COMMAND GETKEYS with too few or too many arguments for that command',
  },
  GETKEYS_NO_KEYS: {
    text: 'ERR The command has no key arguments',
    fate: 'notExecuted',
    when: 'COMMAND GETKEYS of a command without keys',
  },
  GETKEYS_INVALID: {
    text: 'ERR Invalid arguments specified for command',
    fate: 'notExecuted',
    when: 'COMMAND GETKEYS of arguments in which no key can be found',
  },
  NOSCRIPT: {
    text: 'NOSCRIPT No matching script. Please use EVAL.',
    fate: 'notExecuted',
    when: 'EVALSHA of a script that this tenant has not brought through this proxy, or that was forgotten',
  },
  SCRIPT_SHEBANG: {
    text: 'ERR Invalid script shebang',
    fate: 'notExecuted',
    when: 'a script whose first line begins with #! and is not `#!lua`, with or without `flags=`',
  },
  NO_SCRIPTS: {
    text: "NOPERM scripts need a user of the tenant's own on the server, which it does not let the proxy create",
    fate: 'notExecuted',
    when: 'a script command where `upstream.acl` is off or the server refuses ACL SETUSER to the proxy',
  },
  BUSY: {
    text: 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    fate: 'notExecuted',
    when: 'a command that needs a connection of its own while a script holds the server up; others get these words from the server',
  },
  NOT_BUSY: {
    text: 'NOTBUSY No scripts in execution right now.',
    fate: 'notExecuted',
    when: 'SCRIPT KILL or FUNCTION KILL while no script of this tenant runs',
  },
  SCRIPT_FLUSH_OPTION: {
    text: 'ERR SCRIPT FLUSH only support SYNC|ASYNC option',
    fate: 'notExecuted',
    when: 'SCRIPT FLUSH with another option',
  },
  FUNCTION_FLUSH_OPTION: {
    text: 'ERR FUNCTION FLUSH only supports SYNC|ASYNC option',
    fate: 'notExecuted',
    when: 'FUNCTION FLUSH with another option',
  },
  ISOLATION: {
    text: 'ERR internal isolation check failed',
    fate: 'unknown',
    closes: true,
    when: 'a frame or a reply without the prefix of its tenant was found: nothing is delivered',
  },
  NOTDURABLE: {
    text: 'NOTDURABLE write done on the primary, %s of %s replicas confirmed it within %s ms',
    fate: 'done',
    when: 'a write of a tenant with `durability` that fewer replicas than it asks for are known to have in time: the write is on the primary, and replicas may get it later. Of EXEC the whole reply; of a command that reads too, its reply is lost',
  },
  PAUSED: {
    text: 'TRYAGAIN tenant is paused, command not executed',
    fate: 'notExecuted',
    when: 'the proxy ends while an operator has the tenant paused; before that its commands wait',
  },
  PAUSE_TENANT: {
    text: 'ERR No such tenant',
    fate: 'notExecuted',
    when: 'PROXY PAUSE or RESUME of a tenant that is not configured',
  },
  PAUSE_TIME: {
    text: 'ERR a pause lasts 1 to %s milliseconds',
    fate: 'notExecuted',
    when: 'PROXY PAUSE with another time',
  },
  PAUSE_RESTLESS: {
    text: 'TRYAGAIN not paused: %s commands of the tenant were still in flight after %s ms',
    fate: 'notExecuted',
    when: 'PROXY PAUSE of a tenant that has not come to rest within half of the time; its commands go on',
  },
  PAUSE_OVERTAKEN: {
    text: 'ERR another PAUSE or a RESUME of the tenant has come meanwhile',
    fate: 'notExecuted',
    when: 'PROXY PAUSE that was still waiting for the tenant to come to rest',
  },
  PAUSE_SILENT: {
    text: 'ERR a worker process does not answer: the tenant is not paused',
    fate: 'notExecuted',
    when: 'PROXY PAUSE, or the same over HTTP, while one of several worker processes hangs; commands of the tenant go on',
  },
  NOT_PAUSED: {
    text: 'ERR the tenant is not paused',
    fate: 'notExecuted',
    when: 'PROXY RESUME of a tenant that is not paused, or whose pause is over',
  },
  OVERLOADED: {
    text: 'TRYAGAIN proxy overloaded, command not executed',
    fate: 'notExecuted',
    when: 'the memory for requests in flight is used up',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errors

/** The text of a row with its `%s` filled in order. CR and LF of the arguments become spaces, so no argument can end a line. */
export function errorText(code: ErrorCode, ...args: readonly (string | number)[]): string {
  let i = 0
  const text: string = errors[code].text
  return text.replace(/%s/g, () => String(args[i++] ?? '').replace(/[\r\n]/g, ' '))
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errors, value)
}
