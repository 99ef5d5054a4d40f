/**
 * What is put in front of a tenant's script under `scripts: any`, on the line that the script begins on, so that line
 * numbers stay right: a `redis` of its own, whose call and pcall put the prefix on keys (by the shapes of shapes.ts) and
 * take it off the few replies that hold names, and KEYS as the client wrote them.
 *
 * It is a convenience, not the wall: a script can get at the real `redis` (_G, loadstring). Whatever it names with that
 * is judged by Redis, since the connection is logged in as the tenant's own Redis user (upstream/acl.ts).
 *
 * Errors: redis.call calls the real pcall and raises what it gives itself, since an error that is raised below would be
 * reported at the prelude's line. Redis asks the stack where an error came from and writes that into it (script_lua.c,
 * __redis__err__handler); ours does not let it (__newindex) and says the caller's line. Where that is not to be had
 * (`return redis.call(...)` is a tail call, and has no caller any more) it says `?`, and reply.ts does what can be done.
 */
import type { LuaShapes } from './shapes.ts'

/**
 * Lua, for people; it becomes one line, so there are no comments in it. What every run needs is small: what
 * it makes (three functions, four tables) is most of what a short script costs. The rest is made when first asked for.
 * `%P`: the prefix; `%C`: that of channels; `%N`: one more than its length; `%K`: names of commands with one key, their first argument, as a
 * chain of comparisons; `%A`: those with nothing but keys; `%S`: the shapes of the others.
 */
const core = `
(function(R,K)
local P,raw,type,sub,lower,select,M,X=%P,R.pcall,type,string.sub,string.lower,select,{}
for i=1,#K do K[i]=sub(K[i],%N) end
local function more()
local N,S,err,pc,find,match,tonumber,tostring=%N,%S,error,pcall,string.find,string.match,tonumber,tostring
X={}
function X.look(c)
local _,e=find(S,' '..c..'=',1,true)
if not e then return false end
local k,a,b,d,r=match(S,'^(%a)(%-?%d*),?(%-?%d*),?(%-?%d*)(%a?) ',e+1)
return {k,tonumber(a),tonumber(b),tonumber(d),r} end
local function name(v)
if type(v)=='number' then v=string.format('%.17g',v) end
if type(v)=='string' then return P..v end
return v end
local function word(v) return lower(match(tostring(v),'^%Z*')) end
local function is(v,w) return type(v)=='string' and word(v)==w end
local function put(a,i) a[i+1]=name(a[i+1]) end
local W={
r=function(a,n,m) local l=m[3] if l<0 then l=n+l end
for i=m[2],l<n and l or n-1,m[4] do put(a,i) end end,
n=function(a,n,m) local v=tonumber(a[m[2]+1])
if m[3]>0 then put(a,m[3]) end
if v then for i=1,v do local at=m[2]+1+(i-1)*m[4] if at>=n then break end put(a,at) end end end,
x=function(a,n) local i=1 while i<n do local v=a[i+1]
if is(v,'streams') then for k=1,(n-1-i)/2 do put(a,i+k) end return end
if is(v,'count') or is(v,'block') then i=i+1 elseif is(v,'group') then i=i+2 end
i=i+1 end end,
q=function(a,n) put(a,1) local i=2 while i<n do local v=a[i+1]
if is(v,'limit') then i=i+2 elseif is(v,'store') then i=i+1 if i<n then put(a,i) end
elseif is(v,'by') then i=i+1 if i<n and find(word(a[i+1]),'*',1,true) then put(a,i) end
elseif is(v,'get') then i=i+1 if i<n and word(a[i+1])~='#' then put(a,i) end end
i=i+1 end end,
g=function(a,n,m) put(a,1) local i=m[2] while i<n do local v=a[i+1]
if is(v,'count') then i=i+1 elseif is(v,'store') or is(v,'storedist') then i=i+1 if i<n then put(a,i) end end
i=i+1 end end,
c=function(a) if type(a[2])=='string' then a[2]=%C..a[2] end end,
k=function(a) put(a,1) end}
local function own(v) if type(v)=='string' and sub(v,1,N-1)==P then return sub(v,N) end return v end
local function strip(r,s)
if type(r)~='table' then return r end
if r.err then local e,i,j=r.err,1 while true do i,j=find(e,"'"..P,i,true) if not i then break end
e=sub(e,1,i)..sub(e,j+1) i=i+1 end r.err=e return r end
if s=='f' then if r[1] then r[1]=own(r[1]) end
elseif s=='s' then
if r.map then local t={} for k,v in next,r.map do t[own(k)]=v end r.map=t
else for i=1,#r do if type(r[i])=='table' then r[i][1]=own(r[i][1]) end end end end
return r end
local function keyed(m,...)
local n,a=select('#',...),{...}
if m==true then m={'k'} elseif m==1 then m={'r',1,-1,1} end
if n>1 then W[m[1]](a,n,m) end
return a,n end
function X.run(m,c,...)
local a,n=keyed(m,c,...)
local r=raw(unpack(a,1,n))
if type(m)=='table' and m[5]~='' then return strip(r,m[5]) end
return r end
function X.fail(r)
local _,w=pc(err,'',4)
local s,l=match(w,'^(.+):(%d+): $')
err(setmetatable({err=r.err,ignore_error_stats_update=true},{__newindex=function(t,k,v) if k~='source' and k~='line' then rawset(t,k,v) end end,__index={source='@'..(s or '%U'),line=l or '?'}})) end
function X.acl_check_cmd(c,...)
local m=type(c)=='string' and X.kind(c)
if not m then return R.acl_check_cmd(c,...) end
local a,n=keyed(m,c,...) return R.acl_check_cmd(unpack(a,1,n)) end
function X.log() end
function X.set_repl() end
function X.breakpoint() return false end
function X.debug() end
return X end
local function kind(s) local c,m=lower(s)
if %K then m=true
elseif %A then m=1
elseif c=='time' then m=false
else m=(X or more()).look(c) end
M[s]=m return m end
local function run(c,...)
local m=M[c]
if m==nil then if type(c)~='string' then return raw(c,...) end m=kind(c) end
if m==true or m==1 and select('#',...)==1 then local k=... if type(k)=='string' then return raw(c,P..k,select(2,...)) end end
if m then return (X or more()).run(m,c,...) end
return raw(c,...) end
local function call(...)
local r
if select('#',...)==0 then r=raw() else r=run(...) end
if type(r)=='table' and r.err then (X or more()).fail(r) end
return r end
return setmetatable({call=call,pcall=run},{__index=function(_,k) local x=X or more() x.kind=kind local v=x[k] if v==nil or k=='look' or k=='run' or k=='fail' or k=='kind' then return R[k] end return v end}) end)
`

/** A Lua string literal. Prefixes hold no control bytes and no quotes (config/checks.ts); this does not rely on it. */
const quote = (text: string): string =>
  `'${text.replace(/[^ -&(-[\]-~]/g, (c) => `\\${String(c.charCodeAt(0)).padStart(3, '0')}`)}'`

/**
 * For libraries. While one is loaded there is nothing but redis.register_function and the names for logs: no type, no
 * setmetatable (function_lua.c); so the rest is made in the first call. Names are registered under the tenant's mark; KEYS
 * is an argument here, and is put right in each call. What Redis refuses is handed on as it is, for its own error; where only a
 * call can tell (`dump` takes functions, `..` names), functions.ts says it in Redis's words.
 * Named arguments are taken one by one: Redis knows them in any case of letters, and a name may not pass without its mark. `%I`: what the first call makes; `%E`: what each does with its keys.
 */
const library = `
local redis=(function()
local R,T,ok=redis,{}
local S,dump=(''),(('').dump)
local function init() ok=true %I end
local function wrap(f) return function(k,a) if not ok then init() end %E return f(k,a) end end
T.register_function=function(a,b,...)
if b~=nil then
if a==nil or a==true or a==false or a=='' or b==true or b==false then return R.register_function(a,b,...) end
dump(b) return R.register_function(%M..a,wrap(b),...) end
if a==nil then return R.register_function() end
if a==true or a==false or a.rep==S.rep then return R.register_function(a) end
local n,f,callback=a.function_name,a.callback,dump
if n~=nil and n~=true and n~=false and n~='' then n=%M..n end
if f~=nil and f~=true and f~=false then callback(f) f=wrap(f) end
return R.register_function({function_name=n,callback=f,flags=a.flags,description=a.description}) end
T.log=function() end
T.LOG_DEBUG,T.LOG_VERBOSE,T.LOG_NOTICE,T.LOG_WARNING=0,1,2,3
T.REDIS_VERSION,T.REDIS_VERSION_NUM=R.REDIS_VERSION,R.REDIS_VERSION_NUM
return T end)();`
const keysInNames = 'for i=1,#k do k[i]=string.sub(k[i],%N) end'
const plainInit = 'T.log=nil setmetatable(T,{__index=redis})'
const rewritingInit = `local V=${core.trim()}(redis,{}) T.call,T.pcall=V.call,V.pcall setmetatable(T,getmetatable(V))`

/** Ends the prelude of a library, so that it can be told from the client's text whatever version of Regis wrote it. */
export const preludeEnd = '--[=[regis:end]=]'

const chain = (names: readonly string[]): string => names.map((name) => `c==${quote(name)}`).join(' or ')

export interface LibraryPrelude {
  /** In front of the names of functions. Letters, digits, underscores. */
  readonly mark: string
  /** Keys are put right too (`any`). */
  readonly isRewriting: boolean
}

/** The prelude for one tenant's scripts, or its libraries. `prefix` in latin1. */
export function scriptPrelude(
  prefix: string,
  channelPrefix: string,
  shapes: LuaShapes,
  forLibrary?: LibraryPrelude,
): string {
  const filled: Readonly<Record<string, string>> = {
    '%P': quote(prefix),
    '%C': quote(channelPrefix),
    '%N': String(prefix.length + 1),
    '%K': chain(shapes.single),
    '%A': chain(shapes.all),
    '%S': quote(shapes.others),
    '%M': quote(forLibrary?.mark ?? ''),
    '%U': forLibrary === undefined ? 'user_script' : 'user_function',
  }
  const text = forLibrary === undefined ? `local redis=${core.trim()}(redis,KEYS);` : libraryText(forLibrary)
  const line = text
    .trim()
    .split('\n')
    .join(' ')
    .replace(/%[PCNKASMU](?![a-z])/g, (mark) => filled[mark]!)
  return `${line}${forLibrary === undefined ? '' : preludeEnd} `
}

function libraryText({ isRewriting }: LibraryPrelude): string {
  const init = isRewriting ? rewritingInit : plainInit
  return library.replace('%I', () => init).replace('%E', isRewriting ? keysInNames : '')
}
