"""
Cases of redis-py as Debian ships it: each is run on an empty keyspace, and what each gave is printed as one JSON object.
usage: redis-py-cases.py PORT SERVER_PORT USER PASSWORD CASE...
"""
import asyncio
import json
import sys
import threading
import time

import redis
import redis.asyncio
from redis.lock import Lock

port, server_port, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
server = redis.Redis(port=server_port)


def client(**options):
    return redis.Redis(host="127.0.0.1", port=port, username=user, password=password, socket_timeout=10, **options)


def said(call):
    """What a call gives, or its error with its words."""
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def until_blocked(count):
    for _ in range(1000):
        if server.info("clients")["blocked_clients"] == count:
            return
        time.sleep(0.005)
    raise Exception("nobody blocked")


def values():
    r = client(decode_responses=True)
    return [
        r.set("k", "ü", ex=100, nx=True), r.set("k", "v", nx=True), r.get("k"), r.ttl("k") > 90, r.get("none"),
        r.mset({"a": 1, "b": 2}), r.mget("a", "b", "none"), r.incr("a", 41), r.incrbyfloat("a", 0.5),
        r.hset("h", mapping={"f": 1, "g": "two"}), r.hgetall("h"), r.hgetall("none"), r.hmget("h", "f", "none"),
        r.rpush("l", 1, 2, 3), r.lrange("l", 0, -1), r.lpop("l", 2), r.lpos("l", "3"), sorted(r.smembers("none")),
        r.sadd("s", "x", "y"), sorted(r.smembers("s")), r.zadd("z", {"m": 1.5, "n": 2}),
        r.zrange("z", 0, -1, withscores=True), r.zpopmin("z"), r.xadd("x", {"f": "v"}, id="1-1"),
        r.xread({"x": "0", "none": "0"}), r.xgroup_create("x", "g", id="0"), r.xreadgroup("g", "c", {"x": ">"}),
        r.xpending("x", "g"), r.geoadd("geo", (13.36, 38.11, "Palermo")), r.geopos("geo", "Palermo"), r.setbit("bit", 7, 1),
        r.sort("l"), r.object("encoding", "l"), r.type("h"), r.exists("k", "none"), r.delete("k", "none"),
        r.copy("a", "c"), r.expire("a", 10), r.persist("a"), r.echo("x"), r.ping(), r.dump("c") == client().dump("c"),
    ]


def binary():
    r = client()
    name = bytes(range(256))
    return [r.set(name, name), r.get(name) == name, r.strlen(name), r.rename(name, "plain"), r.get("plain") == name]


def errors():
    r = client(decode_responses=True)
    r.set("k", "v")
    return [
        said(lambda: r.incr("k")), said(lambda: r.lpush("k", 1)), said(lambda: r.execute_command("NOPE", "a")),
        said(lambda: r.execute_command("GET")), said(lambda: r.xgroup_create("none", "g")),
        said(lambda: r.xreadgroup("g", "c", {"none": ">"})), said(lambda: r.rename("none", "x")),
        said(lambda: client(db=99).ping()), said(lambda: r.get("k")),
        said(lambda: redis.Redis(port=port, username=user, password="wrong").ping()),
    ]


def pipelines():
    r = client(decode_responses=True)
    r.set("k", "v")
    plain = r.pipeline(transaction=False)
    for i in range(200):
        plain.set(f"k{i}", i).get(f"k{i}").incr("n")
    chained = r.pipeline()
    chained.set("a", 1).incr("a").hgetall("h").lrange("none", 0, -1).get("a")
    failing = r.pipeline().set("b", 1).lpush("k", "x").get("b")
    quiet = r.pipeline().set("b", 2).lpush("k", "x").get("b")
    aborted = r.pipeline().set("c", 1)
    aborted.execute_command("NOPE")
    return [
        plain.execute(), chained.execute(), said(failing.execute),
        [str(one) for one in quiet.execute(raise_on_error=False)], said(aborted.execute), r.exists("c"), r.get("b"),
    ]


def watching():
    r, other = client(decode_responses=True), client()
    pipe = r.pipeline()
    pipe.watch("n")
    before = pipe.get("n")
    other.set("n", 5)
    pipe.multi()
    pipe.set("n", 1)
    lost = said(pipe.execute)
    added = r.transaction(lambda p: (lambda n: (p.multi(), p.set("n", n + 1)))(int(p.get("n"))), "n")
    return [before, lost, added, r.get("n")]


def contention():
    def add():
        r = client()
        for _ in range(20):
            def once(p):
                n = int(p.get("n") or 0)
                p.multi()
                p.set("n", n + 1)
            r.transaction(once, "n")

    threads = [threading.Thread(target=add) for _ in range(5)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    return [client(decode_responses=True).get("n")]


def blocking():
    r, other = client(decode_responses=True), client()
    heard = []
    seen = [r.blpop("none", 0.02), r.rpush("l", 1, 2), r.blpop(["none", "l"], 1), r.brpoplpush("l", "m", 1)]
    thread = threading.Thread(target=lambda: heard.append(r.blpop(["a", "b"], 5)))
    thread.start()
    until_blocked(1)
    other.rpush("b", "x")
    thread.join()
    thread = threading.Thread(target=lambda: heard.append(r.xread({"x": "$"}, block=5000)))
    thread.start()
    until_blocked(1)
    other.xadd("x", {"f": "v"}, id="1-1")
    thread.join()
    return [seen, heard, r.bzpopmin("none", 0.02), r.wait(0, 10)]


def pubsub():
    r = client(decode_responses=True)
    p = r.pubsub()
    p.subscribe("news", "sport")
    p.psubscribe("n*")

    def take(count):
        taken = []
        while len(taken) < count:
            message = p.get_message(timeout=5)
            if message is None:
                raise Exception(f"only {taken}")
            taken.append(message)
        return taken

    begun = take(3)
    received = [r.publish("news", "one"), r.publish("none", "two"), r.publish("other", "three")]
    said_by = sorted(map(str, take(3)))
    known = [sorted(r.pubsub_channels("[ns]*")), r.pubsub_numsub("news", "none"), r.pubsub_numpat()]
    p.unsubscribe("sport")
    ended = take(1)
    heard = []
    threaded = r.pubsub()
    threaded.subscribe(handled=lambda message: heard.append(message["data"]))
    thread = threaded.run_in_thread(sleep_time=0.01)
    for _ in range(500):
        if r.publish("handled", "in a thread") == 1:
            break
        time.sleep(0.01)
    for _ in range(500):
        if heard:
            break
        time.sleep(0.01)
    thread.stop()
    thread.join()
    return [begun, received, said_by, known, ended, heard]


def scripts():
    r = client(decode_responses=True)
    put = r.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
    pipe = r.pipeline()
    put(keys=["b"], args=["2"], client=pipe)
    pipe.get("b")
    return [
        r.eval("return {KEYS[1], ARGV[1], 3.7, false, 'x'}", 1, "k", "a"), put(keys=["k"], args=["v"]), r.get("k"),
        pipe.execute(), r.script_exists(put.sha), said(lambda: r.evalsha("0" * 40, 0)),
        said(lambda: r.eval("return redis.call('NOPE')", 0)), said(lambda: r.eval("no lua", 0)),
    ]


def locks():
    r = client(decode_responses=True)
    one, two = Lock(r, "lock", timeout=60), Lock(r, "lock", timeout=60, blocking_timeout=0.05)
    return [
        one.acquire(), two.acquire(), one.locked(), one.owned(), two.owned(), one.extend(60), one.reacquire(), one.release(),
        two.acquire(), said(one.release), two.release(), r.exists("lock"),
    ]


def keyspace():
    r = client(decode_responses=True)
    for i in range(250):
        r.set(f"k:{i}", i)
    r.hset("h", "f", "v")
    return [
        sorted(set(r.scan_iter("k:*", count=20))), sorted(set(r.scan_iter(_type="hash"))), sorted(r.keys("k:1?")), r.dbsize(),
        r.randomkey() is not None, r.info("keyspace")["db0"]["keys"], r.flushdb(), r.dbsize(), r.keys(), r.randomkey(),
    ]


def connection():
    r = client(decode_responses=True, client_name="first-day", health_check_interval=1)
    info = r.info()
    mine = [one for one in r.client_list() if one["name"] == "first-day"]
    return [
        r.client_getname(), info["redis_version"] == server.info()["redis_version"], info["role"], info["loading"],
        r.role(), len(mine), mine[0]["user"] == user, r.client_id() > 0, r.time()[0] > 0, r.config_get("maxmemory-policy"),
        r.acl_whoami() == user, r.command_count() > 100, r.slowlog_len() >= 0, r.memory_usage("none"),
    ]


def monitor():
    r, other = client(decode_responses=True), client()
    with r.monitor() as m:
        other.set("k", 'v"\\')
        other.echo("end")
        seen = []
        for one in m.listen():
            if one["command"].split(" ")[0].upper() in ("SET", "ECHO"):
                seen.append([one["db"], one["command"]])
            if one["command"] == "ECHO end":
                return seen


def asyncs():
    async def run():
        r = redis.asyncio.Redis(
            host="127.0.0.1", port=port, username=user, password=password, decode_responses=True
        )
        await asyncio.gather(*(r.set(f"k{i}", i) for i in range(50)))
        async with r.pipeline(transaction=True) as pipe:
            executed = await pipe.set("a", 1).incr("a").get("a").execute()
        seen = [await asyncio.gather(*(r.get(f"k{i}") for i in range(50))), executed, await r.blpop("none", 0.02)]
        await r.close()
        return seen

    return asyncio.run(run())


outcome = {}
for name in sys.argv[5:]:
    server.flushall()
    outcome[name] = said(globals()[name])
print(json.dumps(outcome, default=lambda one: sorted(one) if isinstance(one, set) else str(one)))
