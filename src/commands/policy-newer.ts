/**
 * The part of the policy that is about commands which Redis 7.0 has not. A server that lacks one of them answers as if
 * it were unknown; see live.ts. Data only, by the rules of policy.ts.
 */
import type { PolicyGroup } from './policy.ts'

export const newerPolicy: readonly PolicyGroup[] = [
  {
    family: 'newer than Redis 7.0',
    answer: 'upstream',
    commands: `delex delifeq digest hexpire hexpireat hexpiretime hgetdel hgetex hpersist hpexpire hpexpireat hpexpiretime
      hpttl hsetex httl increx lmovem msetex sdiffcard sunioncard xackdel xcfgset xdelex xnack`,
  },
  {
    family: 'vector sets',
    answer: 'upstream',
    commands: 'vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vrem vsetattr vsim',
  },
  {
    family: 'arrays',
    answer: 'upstream',
    commands: `arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext
      arop arring arscan arseek arset`,
  },
  {
    family: 'modules of Redis 8',
    answer: 'upstream',
    commands: `bf.add bf.card bf.exists bf.info bf.insert bf.madd bf.mexists bf.reserve cf.add cf.addnx cf.count cf.del
      cf.exists cf.info cf.insert cf.insertnx cf.mexists cf.reserve cms.incrby cms.info cms.initbydim cms.initbyprob
      cms.merge cms.query json.arrappend json.arrindex json.arrinsert json.arrlen json.arrpop json.arrtrim json.clear
      json.del json.forget json.get json.merge json.mget json.mset json.numincrby json.nummultby json.objkeys
      json.objlen json.resp json.set json.strappend json.strlen json.toggle json.type tdigest.add tdigest.byrank
      tdigest.byrevrank tdigest.cdf tdigest.create tdigest.info tdigest.max tdigest.merge tdigest.min tdigest.quantile
      tdigest.rank tdigest.reset tdigest.revrank tdigest.trimmed_mean topk.add topk.count topk.incrby topk.info
      topk.list topk.query topk.reserve ts.add ts.alter ts.create ts.decrby ts.del ts.get ts.incrby ts.madd ts.range
      ts.revrange`,
  },
  {
    family: 'newer, blocking',
    answer: 'upstream',
    via: 'blocking',
    why: 'takes an upstream connection of its own until it is answered',
    commands: 'blmovem waitaof',
  },
  {
    family: 'newer, in the memory of a connection',
    answer: 'denied',
    why: 'not built yet: the list of fields lives in one upstream connection, which clients share',
    commands: 'himport|discard himport|discardall himport|prepare himport|set',
  },
  {
    family: 'newer, scripts by their name',
    answer: 'denied',
    why: 'the scripts of all tenants are in one cache: who knows a name would read the text',
    commands: 'script|show',
  },
  {
    family: 'newer, keys of all tenants',
    answer: 'denied',
    why: "lists keys or load of all tenants, or deletes by slot whoever's keys lie there",
    commands: `clusterscan cluster|flushslot commandlog|get commandlog|help commandlog|len commandlog|reset hotkeys|get
      hotkeys|help hotkeys|reset hotkeys|start hotkeys|stop trimslots`,
  },
  {
    family: 'newer, administration',
    answer: 'denied',
    why: 'changes or inspects the server that all tenants share',
    commands: `backup|abort backup|cleanup backup|help backup|list backup|seal backup|start backup|status
      client|import-source cluster|cancelslotmigrations cluster|getslotmigrations cluster|migrateslots
      cluster|migration cluster|myshardid cluster|slot-stats cluster|syncslots xidmprecord`,
  },
  {
    family: 'modules, beyond one key',
    answer: 'denied',
    why: 'finds series by label, keeps names of other keys, or reads and takes its inner bytes',
    commands: `bf.debug bf.loadchunk bf.scandump cf.compact cf.debug cf.loadchunk cf.scandump json.debug ts.createrule
      ts.deleterule ts.info ts.mget ts.mrange ts.mrevrange ts.queryindex`,
  },
  {
    family: 'modules, search',
    answer: 'denied',
    why: 'an index, a dictionary or an alias has one name for all tenants, and covers keys of all',
    commands: `ft._list ft.aggregate ft.aliasadd ft.aliasdel ft.aliasupdate ft.alter ft.config ft.create ft.cursor
      ft.dictadd ft.dictdel ft.dictdump ft.dropindex ft.explain ft.explaincli ft.hybrid ft.info ft.profile ft.search
      ft.spellcheck ft.sugadd ft.sugdel ft.sugget ft.suglen ft.syndump ft.synupdate ft.tagvals`,
  },
]
