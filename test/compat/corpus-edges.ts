/** Cases of wrong types, unknown words, odd names, odd values and great sizes. How they are read: corpus.ts. */
const raw = String.raw

const types = ['SET str v', 'RPUSH list v', 'SADD set v', 'ZADD zset 1 v', 'HSET hash f v', 'XADD stream 1-1 f v']
/** One command per family, against a key of every type. */
const probes = [
  ...[
    'GET K',
    'INCR K',
    'APPEND K x',
    'GETRANGE K 0 1',
    'SETBIT K 1 1',
    'BITCOUNT K',
    'BITFIELD K GET u8 0',
    'GETDEL K',
  ],
  ...['GETEX K', 'SETRANGE K 0 x', 'STRLEN K', 'LCS K K', 'PFADD K x', 'PFCOUNT K', 'SET K v GET'],
  ...['HGET K f', 'HSET K f v', 'HINCRBY K f 1', 'HGETALL K', 'HSCAN K 0', 'HRANDFIELD K', 'HSETNX K f v'],
  ...[
    'LPUSH K v',
    'LPOP K',
    'LRANGE K 0 -1',
    'LMOVE K K LEFT RIGHT',
    'LMPOP 1 K LEFT',
    'LPOS K v',
    'LINSERT K BEFORE a b',
  ],
  ...[
    'SADD K v',
    'SMEMBERS K',
    'SINTER K K',
    'SUNIONSTORE D K',
    'SINTERCARD 1 K',
    'SMOVE K D v',
    'SPOP K',
    'SSCAN K 0',
  ],
  ...['ZADD K 1 v', 'ZRANGE K 0 -1', 'ZMPOP 1 K MIN', 'ZINTER 1 K', 'ZDIFFSTORE D 1 K', 'ZRANGESTORE D K 0 -1'],
  ...['GEOPOS K v', 'GEOSEARCH K FROMMEMBER v BYRADIUS 1 km', 'GEORADIUS K 1 1 1 km STORE D', 'SORT K ALPHA'],
  ...['XADD K 2-1 f v', 'XRANGE K - +', 'XREAD STREAMS K 0', 'XGROUP CREATE K g 0', 'XREADGROUP GROUP g c STREAMS K >'],
  ...['XPENDING K g', 'XINFO STREAM K', 'XINFO GROUPS K', 'XACK K g 1-1', 'XTRIM K MAXLEN 1', 'XSETID K 9-9', 'XLEN K'],
]
const wrongTypes = probes
  .map((probe) =>
    [
      `# ${probe} on a key of each type`,
      ...types,
      ...types.map((type) => {
        const name = type.split(' ')[1]!
        return probe.replaceAll(/\bK\b/g, name)
      }),
    ].join('\n'),
  )
  .join('\n')

/** Too few and too many arguments, for whatever the family. */
const arities = [
  ...[
    'GET',
    'GET a b',
    'SET',
    'SET a',
    'MGET',
    'MSET',
    'INCR a b',
    'HGET a',
    'HSET a',
    'HSET a f',
    'LPUSH a',
    'LRANGE a 0',
  ],
  ...[
    'SADD a',
    'SMEMBERS',
    'SMEMBERS a b',
    'ZADD a',
    'ZADD a 1',
    'ZRANGE a 0',
    'XADD a *',
    'XADD a * f',
    'XREAD',
    'XREAD a',
  ],
  ...[
    'DEL',
    'EXISTS',
    'EXPIRE a',
    'TTL',
    'TTL a b',
    'TYPE',
    'RENAME a',
    'COPY a',
    'SORT',
    'GEOADD a',
    'PFCOUNT',
    'BITOP AND',
  ],
  ...[
    'LMPOP 1',
    'ZMPOP 1',
    'SINTERCARD',
    'XGROUP',
    'XGROUP CREATE',
    'XGROUP CREATE a',
    'XINFO',
    'XINFO STREAM',
    'OBJECT',
  ],
  ...[
    'OBJECT ENCODING a b',
    'MEMORY USAGE',
    'XREADGROUP GROUP g c STREAMS',
    'GETEX',
    'LCS a',
    'DUMP',
    'DUMP a b',
    'UNLINK',
  ],
].join('\n')

export const edges: Readonly<Record<string, string>> = {
  'wrong types': wrongTypes,
  arity: `# too few and too many arguments\n${arities}\nPING`,
  'unknown words': raw`
    # commands that nobody knows
    NOPE
    NOPE a b
    NOPE {x*200} b
    NOPE "a\r\nb" "c\x00d"
    "" a
    "GET " a
    "GE\x00T" a
    {y*300}
    GETT a b c d e f g h i j k l m n o p q r s t u v w x y z 0123456789 0123456789 0123456789 0123456789 0123456789 tail
    "\xc3\xbc" a
    "it's" a
    NOPE 12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678 b c
    GET a

    # subcommands that nobody knows
    XGROUP NOPE
    XINFO "N\r\nO" s
    OBJECT "" k
    CLIENT {z*200}
    COMMAND NOPE x y
    MEMORY NOPE

    # any letters
    get a
    sEt a 1
    GeT a
    object encoding a
    xInFo sTrEaM a
    Client GetName
  `,
  'odd names': raw`
    # the empty name and the empty value
    SET "" v
    GET ""
    SET e ""
    GET e
    STRLEN e
    APPEND e ""
    RENAME "" x
    GET x
    HSET h "" ""
    HGETALL h
    SADD s ""
    SMEMBERS s
    RPUSH l "" ""
    LRANGE l 0 -1
    ZADD z 1 ""
    ZRANGE z 0 -1
    EXISTS ""
    MSET "" 1 a 2
    MGET "" a
    DEL ""

    # bytes of every kind
    SET "\x00" "\x00"
    GET "\x00"
    SET "a\r\nb" "c\r\nd"
    GET "a\r\nb"
    SET "\xff\xfe\xfd" "\x80\x81"
    GET "\xff\xfe\xfd"
    SET "*3\r\n$3\r\nSET\r\n" "$-1\r\n"
    GET "*3\r\n$3\r\nSET\r\n"
    MGET "\x00" "a\r\nb" none
    RENAME "\x00" "\r\n"
    GET "\r\n"
    EXISTS "\x00" "\r\n"
    HSET "h\x00" "f\r\n" "v\x00"
    HGETALL "h\x00"
    STRLEN "\r\n"

    # names that look like the prefix, or like another tenant's
    SET shop:a 1
    GET a
    GET shop:a
    SET a 2
    GET shop:a
    SET analytics:a 3
    GET analytics:a
    SET shop: 4
    GET shop:
    RENAME shop:a shop:shop:b
    GET shop:shop:b
    SET regis:wm x
    GET regis:wm

    # unicode, spaces, braces, globs
    SET köln straße
    GET köln
    STRLEN köln
    SET 日本 語
    GET 日本
    SET 🦊 🐔
    GET 🦊
    GETRANGE 🦊 0 1
    SET "with space" "with space"
    GET "with space"
    SET {tag}a 1
    SET {tag}b 2
    MGET {tag}a {tag}b
    SET * star
    GET *
    SET [a-z]? glob
    GET [a-z]?
    SET " lead" 1
    GET " lead"

    # names that look like numbers or options
    SET 1 one
    GET 1
    SET -1 minus
    GET -1
    SET NX NX NX
    GET NX
    SET GET GET
    SET STORE x
    SADD BY 1
    SORT BY BY nosort
    ZADD LIMIT 1 a
    ZUNION 1 LIMIT
    RPUSH COUNT 1
    LMPOP 1 COUNT LEFT COUNT 1
  `,
  'great sizes': raw`
    # values across the read buffers
    SET a {a*1000}
    GET a
    SET b {b*70000}
    GET b
    STRLEN b
    SET c {c*300000}
    GET c
    APPEND c {d*300000}
    STRLEN c
    GETRANGE c 299990 300010
    MGET a b c
    HSET h f {e*70000} g small
    HGETALL h
    RPUSH l {l*65536} {m*65535} {n*65537}
    LRANGE l 0 -1
    ECHO {p*70000}
    PING {q*70000}

    # a value of 3 MiB
    SET m {0123456789abcdef*196608}
    STRLEN m
    GET m
    SETRANGE m 3000000 {z*200000}
    STRLEN m

    # a name of 70,000 bytes
    SET {k*70000} v
    GET {k*70000}
    EXISTS {k*70000} {k*69999}
    RENAME {k*70000} {j*70000}
    RPUSH {l*70000} x
    LMPOP 1 {l*70000} LEFT
    XADD {s*70000} 1-1 a b
    XREAD STREAMS {s*70000} 0

    # an error in the middle of great ones
    SET a {a*70000}
    LPUSH a {x*70000}
    INCR a
    NOPE {x*70000}
    GET a {x*70000}
    GET a
  `,
}
