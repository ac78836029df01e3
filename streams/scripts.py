"""What Redis does as one step, in its own language: publish once, answer, park, claim, keep, trim.

Owns every Lua text. Between the lines of one nothing else happens, so a kill on our side leaves either all
of it or none. Never trims an entry that some group has yet to read or to acknowledge (L90).
"""

from __future__ import annotations

from typing import Final

from streams.link import Script

_IDS: Final = """
local function older(one, other)
  local ms1, n1 = string.match(one, '(%d+)-(%d+)')
  local ms2, n2 = string.match(other, '(%d+)-(%d+)')
  if ms1 ~= ms2 then return tonumber(ms1) < tonumber(ms2) end
  return tonumber(n1) < tonumber(n2)
end
"""

_TRIM: Final = (
    _IDS
    + """
-- Below `edge` every group has read and acknowledged all. The group that must read has to exist: what it
-- has never seen is unread.
local function trim(stream, must_read, length_max)
  local length = redis.call('XLEN', stream)
  if length <= length_max then return end
  local edge, is_read = nil, false
  for _, line in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #line, 2 do group[line[i]] = line[i + 1] end
    local first = group['last-delivered-id']
    if group['pending'] > 0 then
      local waiting = redis.call('XPENDING', stream, group['name'])[2]
      if older(waiting, first) then first = waiting end
    end
    if not edge or older(first, edge) then edge = first end
    is_read = is_read or group['name'] == must_read
  end
  if is_read then redis.call('XTRIM', stream, 'MINID', '~', edge, 'LIMIT', length - length_max) end
end
local function add(stream, must_read, length_max, from)
  local fields = {}
  for i = from, #ARGV do fields[#fields + 1] = ARGV[i] end
  trim(stream, must_read, tonumber(length_max))
  return redis.call('XADD', stream, '*', unpack(fields))
end
"""
)

_RUN: Final = """
-- Whether this request has its answer already, or another entry for the same run is the one to be answered.
local function is_answered(run, entry)
  local found = redis.call('HMGET', run, 'status', 'entry')
  local status, holder = found[1], found[2]
  if status == 'completed' then return true end
  if status == 'failed' then return entry == '' or holder == entry end
  if status == 'running' then return entry ~= '' and holder ~= entry end
  return false
end
local function remember(run, status, entry, kept_s)
  redis.call('HSET', run, 'status', status, 'entry', entry)
  redis.call('EXPIRE', run, kept_s)
end
"""

POST_ONCE: Final = Script(
    _TRIM
    + """
-- KEYS marker, stream; ARGV seconds the marker is kept, group that must read, length, fields...
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local id = add(KEYS[2], ARGV[2], ARGV[3], 4)
redis.call('SET', KEYS[1], id, 'EX', ARGV[1])
return id
"""
)

BEGIN: Final = Script(
    _RUN
    + """
-- KEYS run, requests; ARGV seconds, group, entry
local run, requests, group, entry = KEYS[1], KEYS[2], ARGV[2], ARGV[3]
local found = redis.call('HMGET', run, 'status', 'entry')
local status, holder = found[1], found[2]
if status == 'completed' or (status == 'failed' and holder == entry) then
  redis.call('XACK', requests, group, entry)
  return 'answered'
end
if status == 'running' and holder ~= entry and holder ~= '' then
  if #redis.call('XPENDING', requests, group, holder, holder, 1) > 0 then
    redis.call('XACK', requests, group, entry)
    return 'joined'
  end
end
remember(run, 'running', entry, ARGV[1])
return 'begun'
"""
)

ANSWER: Final = Script(
    _TRIM
    + _RUN
    + """
-- KEYS run, results, requests; ARGV seconds, status, entry, group of requests, group of results, length,
-- fields...
local entry, id = ARGV[3], false
if not is_answered(KEYS[1], entry) then
  id = add(KEYS[2], ARGV[5], ARGV[6], 7)
  if entry == '' then entry = redis.call('HGET', KEYS[1], 'entry') or '' end
  remember(KEYS[1], ARGV[2], entry, ARGV[1])
end
if entry == '' then entry = redis.call('HGET', KEYS[1], 'entry') or '' end
if entry ~= '' then redis.call('XACK', KEYS[3], ARGV[4], entry) end
return id
"""
)

REFUSE: Final = Script(
    _TRIM
    + _RUN
    + """
-- Acknowledged, copied to the dead, and answered where it names a run; nothing of it twice.
-- KEYS stream, dead, run, results; ARGV group, entry, seconds, group of results, length, length of the dead,
-- how many parts the copy has, the copy..., the answer...
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return false end
local copy, after = {}, 8 + tonumber(ARGV[7])
for i = 8, after - 1 do copy[#copy + 1] = ARGV[i] end
if after <= #ARGV and not is_answered(KEYS[3], ARGV[2]) then
  add(KEYS[4], ARGV[4], ARGV[5], after)
  remember(KEYS[3], 'failed', ARGV[2], ARGV[3])
end
return redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', unpack(copy))
"""
)

PROGRESS: Final = Script(
    """
-- KEYS final marker; ARGV channel, message
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""
)

FINAL: Final = Script(
    """
-- KEYS final marker; ARGV seconds, channel, message
-- What was refused was not told: the marker goes again, so that a later try is not taken for a repeat.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
local told = redis.pcall('PUBLISH', ARGV[2], ARGV[3])
if type(told) == 'table' and told.err then
  redis.call('DEL', KEYS[1])
  return told
end
return 1
"""
)

RECOVER: Final = Script(
    """
-- What this consumer was given and does not have in its hands: a reply was lost on the way.
-- KEYS stream; ARGV group, consumer, at most, entries in hand...
local in_hand, found, start, most = {}, {}, '-', tonumber(ARGV[3])
for i = 4, #ARGV do in_hand[ARGV[i]] = true end
while #found < most do
  local page = redis.call('XPENDING', KEYS[1], ARGV[1], start, '+', 100, ARGV[2])
  if #page == 0 then break end
  for _, line in ipairs(page) do
    if not in_hand[line[1]] and #found < most then
      local entry = redis.call('XRANGE', KEYS[1], line[1], line[1])[1]
      if not entry then redis.call('XACK', KEYS[1], ARGV[1], line[1]) end
      found[#found + 1] = {line[1], entry and entry[2] or false, line[4]}
    end
  end
  start = '(' .. page[#page][1]
end
return found
"""
)

CLAIM: Final = Script(
    """
-- What another consumer took and abandoned. KEYS stream; ARGV group, consumer, idle ms, cursor, at most
local got = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
local found = {}
for _, entry in ipairs(got[2]) do
  if entry and entry[2] then
    local line = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)[1]
    found[#found + 1] = {entry[1], entry[2], line and line[4] or 1}
  end
end
return {got[1], found}
"""
)

ADOPT: Final = Script(
    """
-- The entry of a run that is under way, whoever has it. KEYS run, requests; ARGV group, consumer
local status, entry = unpack(redis.call('HMGET', KEYS[1], 'status', 'entry'))
if status ~= 'running' or entry == '' then return false end
local line = redis.call('XPENDING', KEYS[2], ARGV[1], entry, entry, 1)[1]
local found = redis.call('XRANGE', KEYS[2], entry, entry)[1]
if not line or not found then return false end
redis.call('XCLAIM', KEYS[2], ARGV[1], ARGV[2], 0, entry, 'JUSTID')
return {entry, found[2], line[4]}
"""
)

KEEP: Final = Script(
    """
-- Still at it: nobody may claim these. Returns what is somebody else's by now, or gone.
-- KEYS stream; ARGV group, consumer, entries...
local lost = {}
for i = 3, #ARGV do
  local line = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if line and line[2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
"""
)

RELEASE: Final = Script(
    """
-- Given up unfinished: as idle as an abandoned one, so that the next who looks may claim it.
-- KEYS stream; ARGV group, consumer, idle ms, entry
local line = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], ARGV[4], 1)[1]
if not line or line[2] ~= ARGV[2] then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[4], 'IDLE', ARGV[3], 'JUSTID')
return 1
"""
)

LAY_ASIDE: Final = Script(
    """
-- Pending under another name, until somebody claims it for its age. KEYS stream; ARGV group, name, entry
return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
"""
)

RETIRE: Final = Script(
    """
-- Consumers that hold nothing: this one now, others of ours after a time.
-- KEYS stream; ARGV group, consumer, prefix, idle ms
local gone = 0
for _, line in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local one = {}
  for i = 1, #line, 2 do one[line[i]] = line[i + 1] end
  local is_old = string.sub(one['name'], 1, #ARGV[3]) == ARGV[3] and one['idle'] > tonumber(ARGV[4])
  if one['pending'] == 0 and (one['name'] == ARGV[2] or is_old) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], one['name'])
    gone = gone + 1
  end
end
return gone
"""
)
