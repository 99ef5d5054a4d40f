/** Cases of lists and sets. How they are read: corpus.ts. */
const raw = String.raw

export const collections: Readonly<Record<string, string>> = {
  lists: raw`
    # both ends
    RPUSH l a b c
    LPUSH l z
    LPUSHX l y
    RPUSHX l d
    LPUSHX none a
    RPUSHX none a
    LRANGE l 0 -1
    LRANGE l -2 -1
    LRANGE l 5 1
    LRANGE l a b
    LRANGE none 0 -1
    LLEN l
    LLEN none
    LINDEX l 0
    LINDEX l -1
    LINDEX l 100
    LINDEX l x
    LPOP l
    RPOP l
    LPOP l 2
    RPOP l 10
    LPOP l
    LPOP l 1
    RPOP none 0
    LPOP none -1
    LPOP l x
    EXISTS l

    # LPOP with a count of 0
    RPUSH l a
    LPOP l 0
    RPOP l 0
    LPOP l 1
    LPOP l 0

    # inside
    RPUSH l a b c b a
    LINSERT l BEFORE c x
    LINSERT l AFTER c y
    LINSERT l AFTER none y
    LINSERT none BEFORE a b
    LINSERT l NOPE a b
    LSET l 0 A
    LSET l -1 Z
    LSET l 100 x
    LSET none 0 x
    LSET l x y
    LREM l 1 b
    LREM l -1 b
    LREM l 0 none
    LREM l x b
    LTRIM l 1 3
    LRANGE l 0 -1
    LTRIM l 5 1
    EXISTS l
    LTRIM none 0 1

    # LPOS
    RPUSH l a b c 1 2 3 c c
    LPOS l c
    LPOS l c RANK 2
    LPOS l c RANK -1
    LPOS l c COUNT 2
    LPOS l c COUNT 0
    LPOS l c RANK -1 COUNT 2 MAXLEN 3
    LPOS l none
    LPOS l none COUNT 1
    LPOS l c RANK 0
    LPOS l c COUNT -1
    LPOS l c MAXLEN -1
    LPOS l c NOPE 1
    LPOS none a
    LPOS none a COUNT 1

    # from list to list
    RPUSH a 1 2 3
    LMOVE a b LEFT RIGHT
    LMOVE a b RIGHT LEFT
    RPOPLPUSH a b
    RPOPLPUSH a b
    LMOVE a b LEFT RIGHT
    LMOVE b b LEFT RIGHT
    LMOVE b c UP DOWN
    LRANGE b 0 -1
    SET s v
    LMOVE b s LEFT RIGHT
    RPOPLPUSH s b
    RPOPLPUSH b s

    # LMPOP names the list as the client knows it
    RPUSH a 1 2 3
    RPUSH b 4 5
    LMPOP 2 none a LEFT
    LMPOP 2 a b RIGHT COUNT 10
    LMPOP 2 a b LEFT COUNT 1
    LMPOP 1 none LEFT
    LMPOP 0 a LEFT
    LMPOP -1 a LEFT
    LMPOP x a LEFT
    LMPOP 3 a b LEFT
    LMPOP 1 b UP
    LMPOP 1 b LEFT COUNT 0
    LMPOP 1 b LEFT COUNT 1 COUNT 2
    LMPOP 1 b LEFT NOPE
    SET s v
    LMPOP 2 s b LEFT
    LMPOP 2 b s LEFT
    RPUSH shop:l x
    LMPOP 1 shop:l LEFT
    RPUSH "" empty-name
    LMPOP 1 "" LEFT
    RPUSH "a\r\nb" crlf
    LMPOP 1 "a\r\nb" LEFT

    # a long list
    RPUSH l 0 1 2 3 4 5 6 7 8 9 {x*5000} {y*5000}
    OBJECT ENCODING l
    LRANGE l 0 -1
    LINDEX l 10
    LRANGE l -2 -1
  `,
  sets: raw`
    # members
    SADD s a b c
    SADD s a d
    SCARD s
    SCARD none
    SISMEMBER s a
    SISMEMBER s z
    SISMEMBER none a
    SMISMEMBER s a z b
    SMISMEMBER none a b
    SREM s a z
    SREM none a
    SMEMBERS s
    SMEMBERS none
    SREM s b c d
    EXISTS s

    # integers stay in order
    SADD s 3 1 2 -5 9223372036854775807
    OBJECT ENCODING s
    SMEMBERS s
    SADD s x
    OBJECT ENCODING s
    SMEMBERS s

    # two sets
    SADD a 1 2 3 4
    SADD b 3 4 5
    SADD c 4
    SINTER a b
    SINTER a b c
    SINTER a none
    SUNION a b none
    SDIFF a b
    SDIFF none a
    SDIFF a
    SINTERCARD 2 a b
    SINTERCARD 2 a b LIMIT 1
    SINTERCARD 2 a b LIMIT 0
    SINTERCARD 2 a b LIMIT -1
    SINTERCARD 2 a b NOPE 1
    SINTERCARD 0 a
    SINTERCARD 3 a b
    SINTERCARD x a
    SINTERSTORE d a b
    SMEMBERS d
    SUNIONSTORE d a b c
    SMEMBERS d
    SDIFFSTORE d a b
    SMEMBERS d
    SINTERSTORE d a none
    EXISTS d

    # SMOVE
    SADD a x y
    SMOVE a b x
    SMOVE a b x
    SMOVE none b x
    SMOVE a a y
    SMEMBERS b
    SET s v
    SMOVE a s y
    SMOVE s a y

    # chance
    SADD one x
    SRANDMEMBER one
    SRANDMEMBER one 3
    SRANDMEMBER one -3
    SPOP one
    SPOP one
    SPOP one 1
    SRANDMEMBER one
    SRANDMEMBER one 2
    SADD s a b c d e
    ~chance SRANDMEMBER s
    ~chance SRANDMEMBER s 2
    ~chance SRANDMEMBER s -7
    SRANDMEMBER s x
    SPOP s -1
    SPOP s 0
    ~chance SPOP s
    ~chance SPOP s 2
    SCARD s

    # SSCAN
    SADD s 1 2 3
    SSCAN s 0
    SSCAN s 0 MATCH 1* COUNT 10
    SSCAN none 0
    SSCAN s x
    SSCAN s 0 COUNT x
    SADD t a b c d
    SSCAN t 0 COUNT 1000

    # members that look like the prefix
    SADD s shop:a shop: a shop:shop:a
    SMEMBERS s
    SISMEMBER s shop:a
    SUNION s none
  `,
}
