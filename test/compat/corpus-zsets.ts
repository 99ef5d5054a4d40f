/** Cases of sorted sets and geo. How they are read: corpus.ts. */
const raw = String.raw

export const zsets: Readonly<Record<string, string>> = {
  'sorted sets': raw`
    # ZADD and its options
    ZADD z 1 a 2 b
    ZADD z 1 a 3 c
    ZADD z NX 9 a 4 d
    ZADD z XX 5 a 9 new
    ZADD z CH 6 a 7 b
    ZADD z GT CH 1 a 100 b
    ZADD z LT CH 1 a 1000 b
    ZADD z INCR 2 a
    ZADD z NX INCR 2 a
    ZADD z XX INCR 1 none
    ZADD z INCR 1 a 2 b
    ZADD z NX XX 1 a
    ZADD z GT LT 1 a
    ZADD z NX GT 1 a
    ZADD z x a
    ZADD z 1 a 2
    ZADD z nan a
    ZADD z inf top -inf bottom
    ZINCRBY z -inf top
    ZINCRBY z 1.5 a
    ZINCRBY z x a
    ZSCORE z a
    ZSCORE z top
    ZSCORE z none
    ZSCORE none a
    ZMSCORE z a none b
    ZMSCORE none a b
    ZCARD z
    ZCARD none
    ZRANGE z 0 -1 WITHSCORES
    ZREM z a none
    ZREM none a

    # scores as numbers print them
    ZADD z 0.1 a 1e20 b 1e-7 c -0 d 3.0000000000000004 e 1.7976931348623157e308 f 123456789012345680 g
    ZRANGE z 0 -1 WITHSCORES
    ZSCORE z c
    ZSCORE z g
    ZINCRBY z 0.2 a

    # ranks and counts
    ZADD z 1 a 2 b 3 c 4 d
    ZRANK z c
    ZRANK z none
    ZRANK none a
    ZREVRANK z c
    ZREVRANK z none
    ZCOUNT z 2 3
    ZCOUNT z (2 3
    ZCOUNT z -inf +inf
    ZCOUNT z x y
    ZCOUNT none 0 1
    ZLEXCOUNT z - +
    ZLEXCOUNT z [a (c
    ZLEXCOUNT z a c

    # ZRANGE in all its forms
    ZADD z 1 a 2 b 3 c 4 d
    ZRANGE z 0 1
    ZRANGE z 0 1 REV
    ZRANGE z (1 3 BYSCORE
    ZRANGE z 3 (1 BYSCORE REV
    ZRANGE z -inf +inf BYSCORE LIMIT 1 2
    ZRANGE z -inf +inf BYSCORE LIMIT 1 2 WITHSCORES
    ZRANGE z - + BYLEX
    ZRANGE z [b (d BYLEX LIMIT 0 1
    ZRANGE z 0 1 LIMIT 0 1
    ZRANGE z - + BYLEX WITHSCORES
    ZRANGE z 0 1 NOPE
    ZRANGE z x y
    ZRANGE none 0 -1
    ZREVRANGE z 0 1
    ZREVRANGE z 0 1 WITHSCORES
    ZRANGEBYSCORE z 1 2
    ZRANGEBYSCORE z (1 +inf WITHSCORES LIMIT 0 1
    ZRANGEBYSCORE z x y
    ZRANGEBYSCORE z 1 2 LIMIT x y
    ZREVRANGEBYSCORE z 3 1
    ZREVRANGEBYSCORE z 3 1 WITHSCORES
    ZRANGEBYLEX z - [c
    ZRANGEBYLEX z a c
    ZREVRANGEBYLEX z + -
    ZREVRANGEBYLEX z [c [a LIMIT 1 1
    ZRANGESTORE d z 0 1
    ZRANGESTORE d z 2 4 BYSCORE REV
    ZRANGESTORE d z 4 2 BYSCORE REV LIMIT 0 2
    ZRANGE d 0 -1 WITHSCORES
    ZRANGESTORE d none 0 -1
    EXISTS d
    ZRANGESTORE d z 0 1 WITHSCORES

    # taking away
    ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
    ZREMRANGEBYRANK z 0 0
    ZREMRANGEBYSCORE z (2 3
    ZREMRANGEBYSCORE z x y
    ZREMRANGEBYLEX z [d [d
    ZREMRANGEBYLEX z d d
    ZREMRANGEBYRANK none 0 1
    ZPOPMIN z
    ZPOPMAX z 1
    ZPOPMAX z 10
    ZPOPMIN z
    ZPOPMIN z 2
    ZPOPMIN none -1
    EXISTS z

    # ZPOPMIN with a count is nested in RESP3
    ZADD z 1 a 2 b
    ZPOPMIN z 0
    ZPOPMIN z 1
    ZPOPMAX z

    # ZMPOP names the set as the client knows it
    ZADD a 1 x 2 y 3 z
    ZADD b 5 q
    ZMPOP 2 none a MIN
    ZMPOP 2 a b MAX COUNT 10
    ZMPOP 2 a b MIN COUNT 3
    ZMPOP 1 none MIN
    ZMPOP 0 a MIN
    ZMPOP x a MIN
    ZMPOP 2 a MIN
    ZMPOP 1 a UP
    ZMPOP 1 a MIN COUNT 0
    ZMPOP 1 a MIN NOPE
    SET s v
    ZMPOP 1 s MIN
    ZADD shop:z 1 shop:m
    ZMPOP 1 shop:z MIN
    ZADD "\x00\xff" 1 m
    ZMPOP 1 "\x00\xff" MAX

    # two sorted sets
    ZADD a 1 x 2 y 3 z
    ZADD b 10 y 20 z 30 w
    SADD s x w
    ZUNION 2 a b
    ZUNION 2 a b WITHSCORES
    ZUNION 3 a b s WEIGHTS 1 2 3 AGGREGATE MAX WITHSCORES
    ZINTER 2 a b WITHSCORES
    ZINTER 2 a b AGGREGATE MIN WITHSCORES
    ZDIFF 2 a b
    ZDIFF 2 a b WITHSCORES
    ZDIFF 2 none a WITHSCORES
    ZINTERCARD 2 a b
    ZINTERCARD 2 a b LIMIT 1
    ZINTERCARD 2 a b LIMIT -1
    ZUNIONSTORE d 2 a b
    ZRANGE d 0 -1 WITHSCORES
    ZUNIONSTORE d 2 a b WEIGHTS 2 0.5 AGGREGATE SUM
    ZRANGE d 0 -1 WITHSCORES
    ZINTERSTORE d 2 a b
    ZRANGE d 0 -1 WITHSCORES
    ZDIFFSTORE d 2 a b
    ZRANGE d 0 -1 WITHSCORES
    ZINTERSTORE d 2 a none
    EXISTS d
    ZUNION 0 a
    ZUNION -1 a
    ZUNION x a
    ZUNION 3 a b
    ZINTER 2 a b WEIGHTS 1
    ZINTER 2 a b WEIGHTS x 1
    ZINTER 2 a b AGGREGATE NOPE
    ZINTER 2 a b NOPE
    ZDIFF 0 a
    ZDIFF 2 a b WEIGHTS 1 2
    ZINTERCARD 0 a
    ZUNIONSTORE d 0 a
    ZUNIONSTORE d 3 a b
    ZDIFFSTORE d 0 a
    ZDIFFSTORE d x a

    # chance
    ZADD one 1 x
    ZRANDMEMBER one
    ZRANDMEMBER one 2 WITHSCORES
    ZRANDMEMBER one -2
    ZRANDMEMBER one -2 WITHSCORES
    ZRANDMEMBER none
    ZRANDMEMBER none 2
    ZRANDMEMBER one x
    ZADD z 1 a 2 b 3 c
    ~chance ZRANDMEMBER z
    ~chance ZRANDMEMBER z 2
    ~chance ZRANDMEMBER z -5 WITHSCORES

    # ZSCAN
    ZADD z 1 a 2.5 b
    ZSCAN z 0
    ZSCAN z 0 MATCH a
    ZSCAN none 0
    ZSCAN z 0 COUNT -1

    # a sorted set that outgrows its listpack
    ZADD z 1 {m*100} 2 b
    OBJECT ENCODING z
    ZRANGE z 0 -1 WITHSCORES
    ZSCAN z 0
  `,
  geo: raw`
    # Sicily
    GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
    GEOADD g NX 13.583333 37.316667 Agrigento 13 38 Palermo
    GEOADD g XX CH 13.361 38.115 Palermo
    GEOADD g 200 100 nowhere
    GEOADD g 13 x bad
    GEOADD g 13 38
    GEODIST g Palermo Catania
    GEODIST g Palermo Catania km
    GEODIST g Palermo none
    GEODIST g Palermo Catania parsec
    GEOPOS g Palermo none Catania
    GEOPOS none a
    GEOPOS g
    GEOHASH g Palermo Catania none
    GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC
    GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC COUNT 2 WITHCOORD WITHDIST WITHHASH
    GEOSEARCH g FROMMEMBER Catania BYBOX 400 400 km ASC WITHDIST
    GEOSEARCH g FROMMEMBER none BYBOX 400 400 km
    GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY
    GEOSEARCH g BYRADIUS 200 km
    GEOSEARCH g FROMLONLAT 15 37
    GEOSEARCH g FROMLONLAT 15 37 BYRADIUS -1 km
    GEOSEARCH none FROMLONLAT 15 37 BYRADIUS 200 km
    GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km
    ZRANGE d 0 -1 WITHSCORES
    GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST
    ZRANGE d 0 -1 WITHSCORES
    GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST
    GEOSEARCHSTORE d none FROMLONLAT 15 37 BYRADIUS 200 km
    EXISTS d

    # the older ones, with STORE anywhere
    GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
    GEORADIUS g 15 37 200 km
    GEORADIUS g 15 37 200 km WITHDIST WITHCOORD ASC COUNT 1
    GEORADIUS g 15 37 200 km STORE d
    ZRANGE d 0 -1
    GEORADIUS g 15 37 200 km STOREDIST d COUNT 1 ASC
    ZRANGE d 0 -1
    GEORADIUS g 15 37 200 km STORE a STORE b
    EXISTS a
    EXISTS b
    GEORADIUS g 15 37 200 km STORE
    GEORADIUS g 15 37 200 km STORE d WITHDIST
    GEORADIUS g 15 37 200 parsec
    GEORADIUS none 15 37 200 km
    GEORADIUS none 15 37 200 km STORE d
    GEORADIUSBYMEMBER g Catania 200 km ASC
    GEORADIUSBYMEMBER g none 200 km
    GEORADIUSBYMEMBER g Catania 200 km STORE d
    ZCARD d
    GEORADIUSBYMEMBER_RO g Catania 200 km DESC
    GEORADIUSBYMEMBER_RO g Catania 200 km STORE d
    GEORADIUS_RO g 15 37 200 km ASC
    GEORADIUS_RO g 15 37 200 km STORE d
    ZADD store 1 x
    GEORADIUSBYMEMBER store x 1 m
  `,
}
