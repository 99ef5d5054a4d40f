/** Cases of streams and HyperLogLog. How they are read: corpus.ts. */
const raw = String.raw

export const streams: Readonly<Record<string, string>> = {
  streams: raw`
    # entries
    XADD s 1-1 a 1
    XADD s 1-2 b 2 c 3
    XADD s 1-2 late 1
    XADD s 0-0 zero 1
    XADD s 5-* auto 1
    XADD s 5-* auto 2
    XADD s x bad 1
    XADD s 6-1 odd
    XADD none NOMKSTREAM 1-1 a 1
    XADD s MAXLEN 2 7-1 a 1
    XLEN s
    XLEN none
    XRANGE s - +
    XRANGE s - + COUNT 1
    XRANGE s (5-0 +
    XRANGE s x +
    XRANGE none - +
    XREVRANGE s + -
    XREVRANGE s + - COUNT 1
    XADD s MINID = 7-1 8-1 a 1
    XRANGE s - +
    XDEL s 7-1 7-1
    XDEL s x
    XDEL none 1-1
    XTRIM s MAXLEN 0
    XTRIM s MAXLEN ~ 10
    XTRIM s MINID 100
    XTRIM s NOPE 1
    XTRIM s MAXLEN = 1 LIMIT 5
    XTRIM none MAXLEN 1
    XLEN s
    XADD s 1-1 a 1

    # ids of the server's clock
    ~clockId XADD s * a 1
    ~clockId XADD s MAXLEN ~ 1000 * b 2
    ~clockId XRANGE s - +
    XLEN s

    # XREAD names the streams as the client knows them
    XADD a 1-1 f 1
    XADD a 2-1 f 2
    XADD b 1-1 g 1
    XREAD STREAMS a 0
    XREAD COUNT 1 STREAMS a b 0 0
    XREAD STREAMS a b none 1-1 0 0
    XREAD STREAMS a b $ $
    XREAD STREAMS none 0
    XREAD STREAMS a
    XREAD STREAMS a b 0
    XREAD COUNT x STREAMS a 0
    XREAD NOPE STREAMS a 0
    XREAD NOACK STREAMS a 0
    XREAD STREAMS a x
    XREAD COUNT 1 a 0
    XREAD GROUP g c STREAMS a >
    XREAD STREAMS a >
    XADD shop:s 1-1 shop:f shop:v
    XREAD STREAMS shop:s 0
    XADD "" 1-1 e e
    XREAD STREAMS "" 0
    XADD "k\r\n\x00\xff" 1-1 e "\r\n"
    XREAD STREAMS "k\r\n\x00\xff" a 0 0
    XADD STREAMS 1-1 a 1
    XREAD STREAMS STREAMS 0
    XADD COUNT 1-1 a 1
    XREAD COUNT 5 STREAMS COUNT STREAMS 0 0
    SET str v
    XREAD STREAMS a str 0 0

    # reading with BLOCK, and names that look like it
    XADD a 1-1 f 1
    XREAD BLOCK 1 STREAMS a 0
    XREAD COUNT 1 BLOCK 1 STREAMS a 0
    XREAD STREAMS a 0
    XGROUP CREATE a g 0
    XREADGROUP GROUP g c BLOCK 1 STREAMS a >
    XGROUP CREATE a block 0
    XREADGROUP GROUP block block STREAMS a >
    XREADGROUP GROUP block BLOCK STREAMS a 0
    XADD block 1-1 a 1
    XREAD STREAMS block 0

    # groups
    XADD s 1-1 a 1
    XADD s 2-1 b 2
    XGROUP CREATE s g 0
    XGROUP CREATE s g 0
    XGROUP CREATE none g 0
    XGROUP CREATE made g $ MKSTREAM
    XGROUP CREATE s g2 1-1 ENTRIESREAD 1
    XGROUP CREATE s g3 x
    XGROUP CREATECONSUMER s g c1
    XGROUP CREATECONSUMER s g c1
    XGROUP CREATECONSUMER s none c1
    XGROUP CREATECONSUMER none g c1
    XGROUP SETID s g 0
    XGROUP SETID s none 0
    XGROUP DELCONSUMER s g none
    XGROUP DELCONSUMER s none c
    XGROUP DESTROY s g2
    XGROUP DESTROY s g2
    XGROUP DESTROY none g
    XREADGROUP GROUP g c1 COUNT 1 STREAMS s >
    XREADGROUP GROUP g c1 STREAMS s made > >
    XREADGROUP GROUP g c1 STREAMS s >
    XREADGROUP GROUP g c1 STREAMS s 0
    XREADGROUP GROUP g c1 NOACK STREAMS s 0
    XREADGROUP GROUP g c2 STREAMS s 0
    XREADGROUP GROUP g c1 STREAMS s $
    XACK s g 1-1 1-1 9-9
    XACK s g x
    XACK none g 1-1
    XACK s none 1-1
    XLEN s
    XGROUP NOPE s g
    XGROUP HELP

    # NOGROUP errors name the stream as the client knows it
    XREADGROUP GROUP g c STREAMS none >
    XADD s 1-1 a 1
    XREADGROUP GROUP none c STREAMS s >
    XREADGROUP GROUP none c STREAMS shop:s >
    XREADGROUP GROUP g c STREAMS "bad name\r\nx" >
    XPENDING s none
    XPENDING none g
    XPENDING shop:none g - + 10
    XCLAIM s none c 0 1-1
    XCLAIM none g c 0 1-1
    XAUTOCLAIM s none c 0 0
    XAUTOCLAIM shop:x none c 0 0
    XINFO CONSUMERS s none
    XINFO CONSUMERS none g
    XINFO GROUPS none
    XINFO STREAM none
    XGROUP SETID none g 0
    XGROUP DELCONSUMER none g c
    XREADGROUP GROUP g c STREAMS s
    XREADGROUP GROUP g STREAMS s >
    XREADGROUP STREAMS s >

    # pending entries
    XADD s 1-1 a 1
    XADD s 2-1 b 2
    XADD s 3-1 c 3
    XGROUP CREATE s g 0
    XREADGROUP GROUP g alice COUNT 2 STREAMS s >
    XREADGROUP GROUP g bob STREAMS s >
    XPENDING s g
    ~clock XPENDING s g - + 10
    ~clock XPENDING s g - + 10 alice
    XPENDING s g - + 10 nobody
    XPENDING s g IDLE 1000000 - + 10
    XPENDING s g - +
    XPENDING s g x + 10
    XCLAIM s g bob 0 1-1
    XCLAIM s g bob 0 2-1 JUSTID
    XCLAIM s g bob 1000000 3-1
    XCLAIM s g bob 0 9-9
    XCLAIM s g bob x 1-1
    XCLAIM s g bob 0 1-1 NOPE
    XAUTOCLAIM s g carol 0 0
    XAUTOCLAIM s g carol 0 0 COUNT 1
    XAUTOCLAIM s g carol 0 0 JUSTID
    XAUTOCLAIM s g carol 1000000 0
    XAUTOCLAIM s g carol 0 x
    XDEL s 2-1
    XAUTOCLAIM s g dave 0 - COUNT 10
    XREADGROUP GROUP g dave STREAMS s 0
    XPENDING s g
    XGROUP DELCONSUMER s g dave

    # XINFO
    XADD s 1-1 a 1
    XADD s 2-1 b 2
    XGROUP CREATE s g 0
    XINFO STREAM s
    XINFO GROUPS s
    XINFO STREAM s FULL
    XREADGROUP GROUP g c COUNT 1 STREAMS s >
    XINFO GROUPS s
    ~clock XINFO CONSUMERS s g
    ~clock XINFO STREAM s FULL COUNT 1
    XINFO STREAM s NOPE
    XINFO NOPE s
    XINFO HELP
    XADD empty 1-1 a 1
    XDEL empty 1-1
    XINFO STREAM empty

    # XSETID
    XADD s 5-1 a 1
    XSETID s 9-9
    XADD s 6-1 a 1
    XSETID s 1-1
    XSETID s 10-1 ENTRIESADDED 20 MAXDELETEDID 3-0
    XINFO STREAM s
    XSETID none 1-1
    XSETID s x
  `,
  HyperLogLog: raw`
    # PFADD, PFCOUNT, PFMERGE
    PFADD a 1 2 3
    PFADD a 1
    PFADD a
    PFADD fresh
    PFADD b 3 4 5
    PFCOUNT a
    PFCOUNT a b none
    PFCOUNT none
    PFMERGE d a b
    PFCOUNT d
    PFMERGE d
    PFMERGE new
    EXISTS new
    GET b
    SET s not-hll
    PFADD s x
    PFCOUNT s
    PFCOUNT a s
    PFMERGE d s
    LPUSH l x
    PFADD l x
    PFCOUNT l
    STRLEN a
  `,
}
