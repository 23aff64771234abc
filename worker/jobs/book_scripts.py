"""The scripts of the job book (worker.jobs.book): a Lua script each, so that no step is cut in two.

KEYS of all: the hashes of running and of waiting jobs (an id by type and scope), the sorted set of ended
ones, kombu's hash of what is in hand, and the prefix of the records, each a hash. Redis's clock is the only
one.
"""

KEPT = 100
"""Ended jobs that are remembered."""
LOST_AFTER_S = 300
"""A job whose message is in no hand, and that gave no sign of life for so long, has no message any more."""
LOOK_AGAIN_S = 5
"""After so long a job that waits for another of its scope looks whether that one has ended."""

_COMMON = f"""
local running, waiting, ended, unacked, prefix = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function of(id, name) return redis.call('HGET', prefix .. id, name) end
local function is_open(id)
  local state = of(id, 'state')
  return state == 'running' or state == 'waiting'
end
local function is_lost(id)
  if not is_open(id) then return true end
  if redis.call('HEXISTS', unacked, of(id, 'tag')) == 1 then return false end
  return now - tonumber(of(id, 'updated_at')) > {LOST_AFTER_S}
end
local function finish(id, state, message)
  local scope = of(id, 'type') .. ' ' .. of(id, 'scope')
  for _, open in ipairs({{running, waiting}}) do
    if redis.call('HGET', open, scope) == id then redis.call('HDEL', open, scope) end
  end
  redis.call('HSET', prefix .. id, 'state', state, 'message', message, 'updated_at', now, 'ended_at', now)
  redis.call('ZADD', ended, now, id)
  for _, old in ipairs(redis.call('ZRANGE', ended, 0, -{KEPT} - 1)) do
    redis.call('DEL', prefix .. old)
    redis.call('ZREM', ended, old)
  end
end
"""

# ARGV: id, number of the step, token of its message, its tag, a name for this hand, then of a job that is
# new: type, scope, arguments, position.
# Answers {'run', field, value ...}, {'wait', seconds}, {'merged', the job that will run for this one},
# {'cancelled'}: it is from now on, or {'over'}: this step is done, or was begun by another message.
BEGIN = f"""{_COMMON}
local id, number, token, tag, hand = unpack(ARGV, 1, 5)
local record = prefix .. id
number = tonumber(number)
if redis.call('EXISTS', record) == 0 then
  if number > 0 then return {{'over'}} end
  local scope = ARGV[6] .. ' ' .. ARGV[7]
  local other = redis.call('HGET', waiting, scope)
  if other and not is_lost(other) then return {{'merged', other}} end
  if other and is_open(other) then finish(other, 'failed', 'its message is gone; ' .. id .. ' runs') end
  redis.call('HSET', waiting, scope, id)
  redis.call('HSET', record, 'id', id, 'type', ARGV[6], 'scope', ARGV[7], 'arguments', ARGV[8],
             'position', ARGV[9], 'state', 'waiting', 'step', 0, 'token', token, 'created_at', now)
else
  local step = tonumber(of(id, 'step'))
  if number == step + 1 then
    redis.call('HSET', record, 'step', number, 'token', token)
  elseif number ~= step or of(id, 'token') ~= token then
    return {{'over'}}
  end
  if of(id, 'state') == 'cancelled' then return {{'cancelled'}} end
  if not is_open(id) then return {{'over'}} end
end
redis.call('HSET', record, 'tag', tag, 'hand', hand, 'updated_at', now)
if of(id, 'cancelling') then
  finish(id, 'cancelled', '')
  return {{'cancelled'}}
end
if of(id, 'state') == 'waiting' then
  local scope = of(id, 'type') .. ' ' .. of(id, 'scope')
  local other = redis.call('HGET', running, scope)
  if other and is_open(other) then
    local waited = now - tonumber(of(id, 'created_at'))
    if waited <= {LOST_AFTER_S} or not is_lost(other) then return {{'wait', '{LOOK_AGAIN_S}'}} end
    finish(other, 'failed', 'its message is gone; ' .. id .. ' runs')
  end
  redis.call('HDEL', waiting, scope)
  redis.call('HSET', running, scope, id)
  redis.call('HSET', record, 'state', 'running', 'started_at', now)
end
local due_in = tonumber(of(id, 'due_at') or 0) - now
if due_in > 0 then return {{'wait', tostring(due_in)}} end
return {{'run', unpack(redis.call('HGETALL', record))}}
"""

_MINE = """
local id, hand = ARGV[1], ARGV[2]
if of(id, 'hand') ~= hand or of(id, 'state') ~= 'running' then return 'over' end
"""

# A phase that is new began with the part that was done last, or with its step.
# ARGV: id, hand, seconds until it is due, phase, then other fields and values.
# Answers 'go on', 'cancelled' or 'over': another message goes on with this job, or nobody does.
SAVE = f"""{_COMMON}{_MINE}
if of(id, 'phase') ~= ARGV[4] then
  redis.call('HSET', prefix .. id, 'phase', ARGV[4], 'phase_at', of(id, 'updated_at'))
end
redis.call('HSET', prefix .. id, 'updated_at', now, 'due_at', now + ARGV[3], unpack(ARGV, 5))
if of(id, 'cancelling') then
  finish(id, 'cancelled', '')
  return 'cancelled'
end
return 'go on'
"""

# ARGV: id, hand, state, message, phase, then other fields and values. Answers 'ended' or 'over'.
END = f"""{_COMMON}{_MINE}
redis.call('HSET', prefix .. id, 'phase', ARGV[5], unpack(ARGV, 6))
finish(id, ARGV[3], ARGV[4])
return 'ended'
"""

# ARGV: id, type, scope, arguments, message. Nothing to do where there is such a job.
REFUSE = f"""{_COMMON}
local id, type, scope, arguments, message = unpack(ARGV)
if redis.call('EXISTS', prefix .. id) == 1 then return end
redis.call('HSET', prefix .. id, 'id', id, 'type', type, 'scope', scope, 'arguments', arguments,
           'step', 0, 'token', '', 'created_at', now)
finish(id, 'failed', message)
"""

# ARGV: id. Answers the state that it has now, or nil; 'cancelling': a step in hand has yet to hear of it.
CANCEL = f"""{_COMMON}
local id = ARGV[1]
if not is_open(id) then return of(id, 'state') end
if redis.call('HEXISTS', unacked, of(id, 'tag')) == 1 then
  redis.call('HSET', prefix .. id, 'cancelling', 1)
  return 'cancelling'
end
finish(id, 'cancelled', '')
return 'cancelled'
"""
