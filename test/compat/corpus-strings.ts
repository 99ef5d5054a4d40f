/** Cases of strings, bitmaps and hashes. How they are read: corpus.ts. */
const raw = String.raw

export const strings: Readonly<Record<string, string>> = {
  strings: raw`
    # set and get
    SET k v
    GET k
    GET none
    SET k v2 GET
    SET none v GET
    GET k

    # conditions of SET
    SET k 1 NX
    SET k 2 NX
    SET k 3 XX
    SET n 1 XX
    SET k 4 NX GET
    SET k 4 NX XX
    SET k 5 KEEPTTL
    SET k 5 EX 10 PX 10
    SET k 5 EX 0
    SET k 5 EX -1
    SET k 5 EX abc
    SET k 5 EX 9223372036854775807
    SET k 5 EX
    SET k 5 NOPE
    SET k 5 EXAT 33177117420
    EXPIRETIME k
    SET k 5 PXAT 33177117420000
    PEXPIRETIME k
    SET k 6 KEEPTTL
    EXPIRETIME k
    SET k 7
    TTL k

    # SETNX, SETEX, PSETEX, GETSET, GETDEL
    SETNX k 1
    SETNX k 2
    SETEX e 100 v
    SETEX e 0 v
    SETEX e -1 v
    SETEX e x v
    PSETEX p 100000 v
    PSETEX p 0 v
    GETSET k 3
    GETSET new 1
    GETDEL k
    GETDEL k
    GET k

    # GETEX in all its forms
    SET k v
    GETEX k
    GETEX k EXAT 33177117420
    EXPIRETIME k
    GETEX k PERSIST
    TTL k
    GETEX k PXAT 33177117420000
    GETEX k EX 0
    GETEX k EX 10 PERSIST
    GETEX k NOPE
    GETEX none EX 10

    # MSET, MGET, MSETNX
    MSET a 1 b 2 c 3
    MGET a b c none a
    MSETNX c 9 d 4
    MGET c d
    MSETNX e 5 f 6
    MSET a
    MSET a 1 b
    MSETNX a 1 b
    RPUSH list 1
    MGET a list b
    MSET list now-a-string
    GET list

    # counters
    INCR n
    INCRBY n 41
    DECR n
    DECRBY n 1
    INCRBYFLOAT n 0.1
    INCR n
    INCRBYFLOAT n 1e3
    INCRBYFLOAT n -0.1
    GET n
    SET s abc
    INCR s
    INCRBYFLOAT s 1
    INCRBYFLOAT n abc
    INCRBYFLOAT n inf
    INCRBYFLOAT n nan
    INCRBY n 1.5
    DECRBY n x

    # edges of 64 bits
    SET n 9223372036854775807
    INCR n
    DECR n
    INCRBY n 2
    SET m -9223372036854775808
    DECR m
    DECRBY m 1
    INCR m
    DECRBY m -9223372036854775808
    SET o 9223372036854775808
    INCR o
    SET p " 1"
    INCR p
    SET p "1 "
    INCR p
    SET p 01
    INCR p
    SET p -0
    INCR p
    SET p +1
    INCR p
    SET p ""
    INCR p

    # APPEND, STRLEN, ranges
    APPEND k Hello
    APPEND k " World"
    STRLEN k
    STRLEN none
    GETRANGE k 0 4
    GETRANGE k -5 -1
    GETRANGE k 5 0
    GETRANGE k 0 1000
    GETRANGE k a b
    GETRANGE none 0 -1
    SUBSTR k 0 3
    SETRANGE k 6 Redis
    GET k
    SETRANGE pad 5 x
    GET pad
    SETRANGE k -1 x
    SETRANGE k 536870912 x
    SETRANGE none 3 ""
    EXISTS none

    # LCS
    MSET a ohmytext b mynewtext
    LCS a b
    LCS a b LEN
    LCS a b IDX
    LCS a b IDX MINMATCHLEN 4
    LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
    LCS a b IDX LEN
    LCS a none
    LCS a b NOPE
    LCS a b MINMATCHLEN
    LPUSH l 1
    LCS a l
  `,
  bitmaps: raw`
    # bits one by one
    SETBIT b 7 1
    SETBIT b 7 0
    SETBIT b 100 1
    GETBIT b 7
    GETBIT b 100
    GETBIT b 1000000
    GETBIT none 0
    STRLEN b
    SETBIT b 0 2
    SETBIT b -1 1
    SETBIT b 4294967296 1
    GETBIT b -1
    GETBIT b x

    # BITCOUNT and BITPOS
    SET k "\xff\xf0\x00"
    BITCOUNT k
    BITCOUNT k 0 0
    BITCOUNT k 1 1
    BITCOUNT k -2 -1
    BITCOUNT k 5 30 BIT
    BITCOUNT k 0 1 BYTE
    BITCOUNT k 0 1 NOPE
    BITCOUNT k 0
    BITCOUNT none
    BITPOS k 0
    BITPOS k 1 2
    BITPOS k 1 1 -1
    BITPOS k 1 7 15 BIT
    BITPOS k 2
    BITPOS none 0
    BITPOS none 1

    # BITOP
    SET a foobar
    SET b abcdef
    BITOP AND d a b
    GET d
    BITOP OR d a b
    GET d
    BITOP XOR d a b none
    GET d
    BITOP NOT d a
    GET d
    BITOP NOT d a b
    BITOP NOPE d a b
    BITOP AND gone none none2
    EXISTS gone
    LPUSH l x
    BITOP AND d a l

    # BITFIELD
    BITFIELD k INCRBY i5 100 1 GET u4 0
    BITFIELD k SET u8 0 255 GET u8 0
    BITFIELD k OVERFLOW SAT INCRBY u2 100 3 OVERFLOW FAIL INCRBY u2 100 1
    BITFIELD k OVERFLOW WRAP INCRBY i8 #1 127 INCRBY i8 #1 1
    BITFIELD k
    BITFIELD k GET u64 0
    BITFIELD k GET i65 0
    BITFIELD k GET u8
    BITFIELD k OVERFLOW NOPE
    BITFIELD k SET u8 -1 0
    BITFIELD_RO k GET u8 0 GET i63 1
    BITFIELD_RO k SET u8 0 1
    BITFIELD_RO none GET u8 0
    GET k
  `,
  hashes: raw`
    # fields
    HSET h a 1 b 2
    HSET h a 2 c 3
    HSET h a
    HSET h a 1 b
    HGET h a
    HGET h none
    HGET none a
    HMGET h a none c
    HMGET none a b
    HMSET h d 4 e 5
    HMSET h d
    HGETALL h
    HGETALL none
    HKEYS h
    HVALS h
    HKEYS none
    HLEN h
    HLEN none
    HEXISTS h a
    HEXISTS h none
    HSTRLEN h a
    HSTRLEN h none
    HSETNX h a 9
    HSETNX h new 9
    HDEL h a none b
    HDEL none a
    HDEL h c d e new
    EXISTS h

    # counters in fields
    HINCRBY h n 5
    HINCRBY h n -10
    HINCRBY h n 9223372036854775807
    HINCRBY h n 9223372036854775807
    HINCRBY h n 1.5
    HSET h s abc
    HINCRBY h s 1
    HINCRBYFLOAT h f 0.5
    HINCRBYFLOAT h f 1.0e2
    HINCRBYFLOAT h s 1
    HINCRBYFLOAT h f x
    HGETALL h

    # random fields
    HSET one a 1
    HRANDFIELD one
    HRANDFIELD one 5
    HRANDFIELD one -3 WITHVALUES
    HRANDFIELD one 1 WITHVALUES
    HRANDFIELD none
    HRANDFIELD none 2
    HRANDFIELD none 2 WITHVALUES
    HRANDFIELD one x
    HRANDFIELD one 1 NOPE
    HSET h a 1 b 2 c 3
    ~chance HRANDFIELD h
    ~chance HRANDFIELD h 2
    ~chance HRANDFIELD h -5 WITHVALUES

    # HSCAN
    HSET h a 1 b 2 c 3
    HSCAN h 0
    HSCAN h 0 MATCH a*
    HSCAN h 0 MATCH shop:* COUNT 100
    HSCAN h 0 COUNT 0
    HSCAN h x
    HSCAN none 0
    HSCAN h 0 NOPE

    # a hash that outgrows its listpack
    HSET h f {v*100} g 1
    OBJECT ENCODING h
    HGETALL h
    HSCAN h 0

    # field names and values that look like the prefix
    HSET h shop:a shop:b a shop:
    HGETALL h
    HGET h shop:a
    HKEYS h
  `,
}
