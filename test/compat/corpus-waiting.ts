/** Cases of transactions, of commands that may wait, and of what a connection asks for itself. How they are read: corpus.ts. */
const raw = String.raw

export const waiting: Readonly<Record<string, string>> = {
  transactions: raw`
    # a transaction, and one that is given up
    MULTI
    SET k 1
    INCR k
    LPUSH k x
    GET k
    EXEC
    MULTI
    SET k 2
    DISCARD
    GET k
    MULTI
    EXEC

    # names in its replies
    RPUSH l 1 2 3
    XADD s 1-1 f v
    ZADD z 1 m
    MULTI
    LMPOP 2 none l LEFT
    XREAD STREAMS s 0
    XREADGROUP GROUP none c STREAMS s >
    ZMPOP 1 z MIN
    BLPOP none l 0
    BLPOP none 0
    BZPOPMIN none 0
    BLMOVE l m LEFT RIGHT 0
    PING
    ECHO x
    COMMAND GETKEYS SET a b
    EXEC
    LRANGE m 0 -1

    # what spoils it
    MULTI
    NOPE
    SET k v
    EXEC
    MULTI
    GET
    EXEC
    MULTI
    XINFO NOPE
    EXEC
    EXISTS k
    EXEC
    DISCARD
    MULTI
    MULTI
    WATCH k
    EXEC
    EXEC x
    MULTI
    EXEC x
    EXEC
    MULTI x
    DISCARD x

    # WATCH
    WATCH k
    MULTI
    SET k 1
    EXEC
    WATCH k l
    SET k 2
    MULTI
    SET k 3
    EXEC
    GET k
    WATCH k
    SET k 4
    UNWATCH
    MULTI
    SET k 5
    EXEC
    GET k
    WATCH
    UNWATCH x
  `,
  'what may wait': raw`
    # there is something
    RPUSH l a b c d e f
    ZADD z 1 a 2 b 3 c 4 d
    BLPOP none l 1
    BRPOP l none 1
    BRPOPLPUSH l m 1
    BLMOVE l m LEFT RIGHT 1
    BLMPOP 1 2 none l LEFT COUNT 5
    BZPOPMIN none z 1
    BZPOPMAX z 1
    BZMPOP 1 1 z MAX COUNT 2
    WAIT 0 0
    LRANGE m 0 -1

    # there is nothing
    BLPOP none 0.01
    BRPOPLPUSH none m 0.01
    BLMOVE none m LEFT LEFT 0.01
    BLMPOP 0.01 1 none LEFT
    BZPOPMIN none 0.01
    BZMPOP 0.01 1 none MIN
    XREAD BLOCK 10 STREAMS none $

    # mistakes
    SET str v
    BLPOP str 1
    BLPOP l x
    BLPOP l -1
    BLPOP l
    BLMPOP 1 0 l LEFT
    BLMPOP 1 1 l UP
    BLMPOP x 1 l LEFT
    BLMOVE a b UP LEFT 1
    BZPOPMIN str 1
    BZMPOP 1 1 z NOPE
    XREAD BLOCK -1 STREAMS s 0
    XREAD BLOCK x STREAMS s 0
    WAIT 0 x
    WAIT x 0
    WAIT 0 -1
  `,
  'the connection, shared': raw`
    # nobody listens
    PUBLISH ch message
    SPUBLISH ch message
    PUBLISH ch
    PUBSUB NUMSUB ch
    PUBSUB SHARDCHANNELS

    # tracking
    CLIENT TRACKING ON OPTIN
    CLIENT CACHING YES
    CLIENT CACHING NO
    CLIENT GETREDIR
    CLIENT TRACKING OFF
    CLIENT CACHING YES
    CLIENT GETREDIR
    CLIENT TRACKING ON BCAST OPTIN
    CLIENT TRACKING NOPE
  `,
}
