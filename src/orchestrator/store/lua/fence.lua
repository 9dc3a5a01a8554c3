-- Before a session is removed: nobody runs it, and from here on nobody can.
-- KEYS  session active tokens
-- ARGV  owner_key_prefix dead_owner session_id
-- Gives {'done'} | {'missing'} | {'owned', owner_id, its lease}

local session = redis.call('HMGET', KEYS[1], 'status', 'owner')
if not session[1] then
  return {'missing'}
end
local owner = session[2]
if not terminal(session[1]) and owner and owner ~= ARGV[2] then
  local lease = redis.call('GET', ARGV[1] .. owner)
  if lease then
    return {'owned', owner, lease}
  end
end
redis.call('HSET', KEYS[1], 'owner', 'removed', 'token', redis.call('INCR', KEYS[3]))
redis.call('SREM', KEYS[2], ARGV[3])
return {'done'}
