-- Put before every script. Events are capped: they tell the recent story; the hashes hold the facts.

local EVENTS_KEPT = 10000

local function event(key, now, ...)
  redis.call('XADD', key, 'MAXLEN', '~', EVENTS_KEPT, '*', 'time', now, ...)
end

local AT_ONCE = 1000 -- Lua's unpack gives up at 8000 values

-- HSET of a table {field = value}; an empty table writes nothing.
local function hset(key, fields)
  local flat = {}
  for name, value in pairs(fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
    if #flat >= AT_ONCE then
      redis.call('HSET', key, unpack(flat))
      flat = {}
    end
  end
  if #flat > 0 then
    redis.call('HSET', key, unpack(flat))
  end
end

local WAKES_KEPT = 1000

-- Tell every supervisor of the env that something is wanted of a session; what, stands in the hashes.
local function wake(key, session_id)
  redis.call('XADD', key, 'MAXLEN', '~', WAKES_KEPT, '*', 'session_id', session_id)
end

local function terminal(status)
  return status ~= 'PENDING' and status ~= 'RUNNING'
end

-- A session's status follows its jobs': RUNNING from the first start, terminal with the last end.
local function follow_jobs(session, events, active, retention, session_id, now, now_ms, retention_ms, actor)
  local before = redis.call('HGET', session, 'status')
  local counts = redis.call('HMGET', session, 'jobs_PENDING', 'jobs_RUNNING', 'jobs_FAILED', 'jobs_CANCELLED')
  local status = before
  if tonumber(counts[1]) + tonumber(counts[2]) > 0 then
    if tonumber(counts[2]) > 0 then
      status = 'RUNNING'
      redis.call('HSETNX', session, 'started_at', now)
    end
  elseif tonumber(counts[3]) > 0 then
    status = 'FAILED'
  elseif tonumber(counts[4]) > 0 then
    status = 'CANCELLED'
  else
    status = 'SUCCESS'
  end
  redis.call('HSET', session, 'status', status, 'last_update', now)
  if status ~= before then
    event(events, now, 'event', 'session.' .. string.lower(status), 'from', before, 'to', status, 'actor', actor)
    if terminal(status) then
      redis.call('HSET', session, 'finished_at', now)
      redis.call('SREM', active, session_id)
      redis.call('ZADD', retention, tonumber(now_ms) + tonumber(retention_ms), session_id)
    end
  end
  return status
end
