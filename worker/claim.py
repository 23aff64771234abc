"""How a message is claimed, kept, given back and buried: a Lua script each, so that no step is cut in two.

A claimed message is recorded in kombu's own keys and form: the hash `unacked` has `[message, exchange,
queue]` by delivery tag, the sorted set `unacked_index` the time of the last sign of life. Redis's clock is
the only one. Nothing is removed before it is written elsewhere: a command that Redis refuses (out of memory,
not allowed) ends its script, and nothing is lost.
"""

QUARANTINE = "quarantine"
"""The queue of messages whose bodies had begun before."""

# Redis's time in seconds; Redis writes a Lua number with 17 digits.
_NOW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""

_LETTER = """
local function letter(stream, at, kind, document, reason, why, attempts)
  return redis.call('XADD', stream, '*', 'type', kind, 'document', document, 'reason', reason, 'message', why,
                    'image', '', 'attempts', attempts, 'first_seen', at, 'last_seen', at, 'trace_id', '')
end
"""

# KEYS: unacked index, unacked, deliveries, dead letters, quarantine, then the lists to take from, in order.
# ARGV: now (ISO), deliveries at most, bytes of a message at most, quarantine's name, then each list's queue.
# Answers {number of the list, message, its tag, deliveries counted so far}, or for a message that it buried
# {0, entry, number of letters, type, reason, why, attempts}, or nil.
# A tag that is in hand waits at the far end: with two messages under one tag, the end of one would
# take the other out of the books.
CLAIM = f"""
{_NOW}{_LETTER}
local index, unacked, deliveries, dead, quarantine = unpack(KEYS, 1, 5)
local limit, largest = tonumber(ARGV[2]), tonumber(ARGV[3])
local function bury(list, m, kind, reason, why, attempts)
  local entry = letter(dead, ARGV[1], kind, m, reason, why, attempts)
  redis.call('RPOP', list)
  return {{0, entry, redis.call('XLEN', dead), kind, reason, why, attempts}}
end
local function tag_of(m)
  local ok, d = pcall(cjson.decode, m)
  if not ok or type(d) ~= 'table' then return nil, 'not a JSON object' end
  local p = d.properties
  if type(p) ~= 'table' then return nil, 'properties is missing' end
  if type(p.delivery_tag) ~= 'string' or p.delivery_tag == '' then
    return nil, 'properties.delivery_tag is missing'
  end
  if type(p.delivery_info) ~= 'table' then return nil, 'properties.delivery_info is missing' end
  if type(d.headers) ~= 'table' then return nil, 'headers is missing' end
  if type(d.body) ~= 'string' then return nil, 'body is missing' end
  local before = d.headers.lookalike_deliveries
  return p.delivery_tag, type(d.headers.task) == 'string' and d.headers.task or '',
         type(before) == 'number' and before or 0
end
for i = 6, #KEYS do
  local list, queue = KEYS[i], ARGV[i - 1]
  for _ = 1, 50 do
    local m = redis.call('LINDEX', list, -1)
    if not m then break end
    if #m > largest then
      return bury(list, m, '', 'MessageTooLarge', #m .. ' bytes; at most ' .. largest .. ' are taken', 1)
    end
    local tag, kind, before = tag_of(m)
    if not tag then return bury(list, m, '', 'MalformedMessage', kind, 1) end
    local count = tonumber(redis.call('HGET', deliveries, tag) or 0)
    if redis.call('HEXISTS', unacked, tag) == 1 then
      redis.call('LMOVE', list, list, 'RIGHT', 'LEFT')
    elseif queue ~= ARGV[4] and count >= 1 then
      redis.call('LMOVE', list, quarantine, 'RIGHT', 'LEFT')
    elseif count + before >= limit then
      local why = 'its workers ended before they could finish it'
      local buried = bury(list, m, kind, 'DeliveredTooOften', why, count + before)
      redis.call('HDEL', deliveries, tag)
      return buried
    else
      redis.call('ZADD', index, now, tag)
      redis.call('HSET', unacked, tag, '[' .. m .. ',"",' .. cjson.encode(queue) .. ']')
      redis.call('RPOP', list)
      return {{i - 5, m, tag, count}}
    end
  end
end
return nil
"""

# KEYS: unacked index, unacked, deliveries. ARGV: tag.
SETTLE = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
"""

# Back to its queue, with the count that it was claimed with; nothing to do where it was taken over.
# KEYS: unacked index, unacked, deliveries, list. ARGV: tag, message, count, LPUSH or RPUSH, 1: unless begun.
# Answers 1 if it stays in hand, since its body has begun.
GIVE_BACK = """
local tag, count = ARGV[1], tonumber(ARGV[3])
if redis.call('HEXISTS', KEYS[2], tag) == 0 then return 0 end
if ARGV[5] == '1' and tonumber(redis.call('HGET', KEYS[3], tag) or 0) ~= count then return 1 end
redis.call(ARGV[4], KEYS[4], ARGV[2])
redis.call('ZREM', KEYS[1], tag)
redis.call('HDEL', KEYS[2], tag)
if count > 0 then redis.call('HSET', KEYS[3], tag, count) else redis.call('HDEL', KEYS[3], tag) end
return 0
"""

# KEYS: unacked index. ARGV: tag ... Answers the tags that are in hand no more.
RENEW = f"""
{_NOW}
local gone = {{}}
for _, tag in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], 'XX', now, tag)
  if not redis.call('ZSCORE', KEYS[1], tag) then gone[#gone + 1] = tag end
end
return gone
"""

# What has had no sign of life for the visibility timeout. While Redis was away nobody could give one, so
# that nothing is overdue until Redis has been up for as long.
# KEYS: unacked index, unacked. ARGV: visibility timeout (s), how many. Answers {tag, time, tag, time ...}.
OVERDUE = f"""
{_NOW}
local timeout = tonumber(ARGV[1])
local up = tonumber(redis.call('INFO', 'server'):match('uptime_in_seconds:(%d+)'))
if up < timeout then return {{}} end
local overdue = redis.call('ZRANGE', KEYS[1], '-inf', now - timeout, 'BYSCORE', 'LIMIT', 0, ARGV[2],
                           'WITHSCORES')
local found = {{}}
for i = 1, #overdue, 2 do
  if redis.call('HEXISTS', KEYS[2], overdue[i]) == 1 then
    found[#found + 1] = overdue[i]
    found[#found + 1] = overdue[i + 1]
  else
    redis.call('ZREM', KEYS[1], overdue[i])
  end
end
return found
"""

# Back to its queue, from hands that are gone; its count stays. Nothing to do where there was a sign of life.
# KEYS: unacked index, unacked, list ... ARGV: tag, time, message, LPUSH or RPUSH.
TAKE_OVER = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return end
for i = 3, #KEYS do redis.call(ARGV[4], KEYS[i], ARGV[3]) end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
"""

# KEYS: unacked index, unacked, deliveries, dead letters. ARGV: tag, now (ISO), document, reason, why.
# Answers {entry, number of letters}; nil if it is in hand no more.
BURY = f"""
{_LETTER}
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return nil end
local entry = letter(KEYS[4], ARGV[2], '', ARGV[3], ARGV[4], ARGV[5], 1)
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return {{entry, redis.call('XLEN', KEYS[4])}}
"""
