/** Cases of commands on any key: life time, names, copies, SORT, OBJECT; and of the connection. How they are read: corpus.ts. */
const raw = String.raw

export const keyspace: Readonly<Record<string, string>> = {
  'any key': raw`
    # existence
    MSET a 1 b 2
    EXISTS a b none a
    DEL a none
    DEL a
    UNLINK b none
    EXISTS b
    TOUCH a b
    SET a 1
    TOUCH a a b

    # types
    SET str v
    RPUSH list v
    SADD set v
    ZADD zset 1 v
    HSET hash f v
    XADD stream 1-1 f v
    TYPE str
    TYPE list
    TYPE set
    TYPE zset
    TYPE hash
    TYPE stream
    TYPE none
    OBJECT ENCODING str
    OBJECT ENCODING list
    OBJECT ENCODING set
    OBJECT ENCODING zset
    OBJECT ENCODING hash
    OBJECT ENCODING stream
    OBJECT ENCODING none
    OBJECT REFCOUNT list
    OBJECT REFCOUNT none
    ~clock OBJECT IDLETIME str
    OBJECT IDLETIME none
    OBJECT FREQ str
    OBJECT FREQ none
    OBJECT NOPE str
    OBJECT ENCODING
    OBJECT HELP
    MEMORY HELP
    ~name MEMORY USAGE str
    ~name MEMORY USAGE list SAMPLES 5
    MEMORY USAGE none
    MEMORY USAGE str SAMPLES -1
    MEMORY USAGE str NOPE 1

    # encodings of strings
    SET i 12345
    SET e {x*44}
    SET r {x*45}
    SET small 10
    OBJECT ENCODING i
    OBJECT ENCODING e
    OBJECT ENCODING r
    OBJECT REFCOUNT small
    APPEND i 6
    OBJECT ENCODING i

    # names
    MSET a 1 b 2
    RENAME a c
    GET a
    GET c
    RENAME none x
    RENAME c c
    RENAMENX c b
    RENAMENX c d
    RENAMENX none x
    GET d
    RENAME d b
    GET b

    # what is refused on purpose
    !administration LASTSAVE
    GET a

    # MOVE
    SET a v
    MOVE a 0
    MOVE none 0
    MOVE a x
    MOVE a 01
    MOVE a 99999999999
    MOVE a -1
    MOVE a

    # COPY
    SET a 1
    COPY a b
    COPY a b
    COPY a b REPLACE
    COPY none b
    COPY none x REPLACE
    GET b
    COPY a a
    COPY a c NOPE
    COPY a c REPLACE REPLACE
    GET c
    COPY a d DB 1
    COPY a b REPLACE DB 1
    COPY a b DB
    COPY a b DB x
    RPUSH l 1 2
    COPY l m
    LRANGE m 0 -1

    # DUMP
    SET s v
    RPUSH l a b
    DUMP s
    DUMP l
    DUMP none
    SET n 1
    DUMP n
  `,
  expiry: raw`
    # a long life
    SET k v
    TTL k
    PTTL k
    TTL none
    PTTL none
    EXPIRETIME k
    EXPIRETIME none
    PEXPIRETIME none
    EXPIREAT k 33177117420
    EXPIRETIME k
    PEXPIRETIME k
    ~clock TTL k
    ~clock PTTL k
    PERSIST k
    PERSIST k
    PERSIST none
    TTL k
    EXPIRE k 100
    ~clock TTL k
    PEXPIRE k 100000
    ~clock PTTL k
    PEXPIREAT k 33177117420123
    PEXPIRETIME k
    EXPIRETIME k

    # conditions
    SET k v
    EXPIREAT k 33177117420 XX
    EXPIREAT k 33177117420 NX
    EXPIREAT k 33177117420 NX
    EXPIREAT k 33177117421 GT
    EXPIREAT k 33177117420 GT
    EXPIREAT k 33177117420 LT
    PEXPIREAT k 33177117420000 LT
    PEXPIRE k 1000000 NX
    EXPIRE k 100 NX XX
    EXPIRE k 100 GT LT
    EXPIRE k 100 NOPE
    EXPIRETIME k

    # a short life
    SET k v
    EXPIRE k 0
    EXISTS k
    SET k v
    EXPIRE k -1
    EXISTS k
    SET k v
    EXPIREAT k 1
    GET k
    SET k v
    PEXPIREAT k 1
    GET k
    EXPIRE none 100
    EXPIRE k abc
    EXPIRE k 1.5
    SET k v
    EXPIRE k 9223372036854775807
    PEXPIRE k 9223372036854775807
    EXPIRE k ""
    SET k v PX 100000
    GET k

    # what keeps and what loses its end
    SET k v EXAT 33177117420
    APPEND k w
    EXPIRETIME k
    RENAME k l
    EXPIRETIME l
    COPY l m
    EXPIRETIME m
    GETSET l n
    TTL l
    SETRANGE m 0 x
    EXPIRETIME m
    INCR c
    EXPIREAT c 33177117420
    INCR c
    EXPIRETIME c
    SUNIONSTORE c none
    EXISTS c
  `,
  sort: raw`
    # numbers and letters
    RPUSH l 3 1 2 10
    SORT l
    SORT l DESC
    SORT l ALPHA
    SORT l LIMIT 1 2
    SORT l LIMIT 1 2 DESC ALPHA
    SORT none
    SORT_RO l
    SORT_RO l DESC LIMIT 0 1
    RPUSH w c a b
    SORT w
    SORT w ALPHA
    SADD s 3 1 2
    SORT s
    ZADD z 1 5 2 4
    SORT z
    SORT z BY nosort
    SORT z BY nosort DESC
    SET str v
    SORT str
    HSET h f v
    SORT h
    SORT l NOPE
    SORT l LIMIT x y
    SORT l BY
    SORT_RO l STORE d

    # BY and GET name other keys by pattern
    RPUSH l 1 2 3
    MSET w_1 30 w_2 20 w_3 10 o_1 one o_2 two
    HSET h_1 weight 3 name eins
    HSET h_2 weight 1 name zwei
    HSET h_3 weight 2
    SORT l BY w_*
    SORT l BY w_* DESC GET o_*
    SORT l BY w_* GET # GET o_* GET w_*
    SORT l BY h_*->weight
    SORT l BY h_*->weight GET h_*->name GET #
    SORT l BY nosort GET #
    SORT l BY none_*
    SORT l GET nostar
    SORT l GET *
    SORT l GET none_*
    SORT l GET o_*->
    SORT_RO l BY w_* GET o_*
    SORT l BY w_* STORE d
    LRANGE d 0 -1
    SORT l GET o_* STORE d
    LRANGE d 0 -1
    SORT l STORE a STORE b
    EXISTS a
    EXISTS b
    SORT l BY STORE STORE e
    EXISTS e
    SORT l LIMIT 0 1 STORE f DESC
    LRANGE f 0 -1
    SORT none STORE d
    EXISTS d
    SORT l GET w_* BY w_* BY h_*->weight
    RPUSH # x
    SORT l GET #
    SORT # ALPHA GET #
    SORT l BY "w_*" GET "o_*\x00"
  `,
  connection: raw`
    # what the proxy answers itself
    PING
    PING hello
    PING "\r\n\x00"
    PING a b
    ECHO hello
    ECHO ""
    ECHO "a\r\nb"
    ECHO
    ECHO a b
    SELECT 0
    SELECT x
    SELECT 16
    SELECT -1
    SELECT
    CLIENT GETNAME
    CLIENT SETNAME conn
    CLIENT GETNAME
    CLIENT SETNAME "has space"
    CLIENT SETNAME ""
    CLIENT GETNAME
    CLIENT NO-EVICT on
    CLIENT NO-EVICT maybe
    CLIENT NOPE
    CLIENT
    CLIENT REPLY maybe
    CLIENT REPLY ON
    ~clock TIME
    ~clock CLIENT ID

    # READONLY and READWRITE where there is no cluster
    PING
    LOLWUT VERSION 5 1 1 1

    # COMMAND of what tenants may use
    COMMAND GETKEYS MSET a b c d
    COMMAND GETKEYS GET
    COMMAND GETKEYS PING
    COMMAND GETKEYS NOPE x
    COMMAND GETKEYS XREAD COUNT 2 STREAMS a b 0 0
    COMMAND GETKEYS SORT a BY w_* STORE d
    COMMAND GETKEYS ZUNIONSTORE d 2 a b
    COMMAND GETKEYSANDFLAGS SET a b
    COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT
    COMMAND INFO get set
    COMMAND INFO nope
    COMMAND DOCS get
    COMMAND DOCS nope
    ~order COMMAND LIST FILTERBY PATTERN get*
    COMMAND NOPE
    COMMAND HELP
  `,
}
