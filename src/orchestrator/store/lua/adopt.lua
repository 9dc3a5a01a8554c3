-- Make one supervisor the owner of a session, under a new fencing token: whoever held an older one writes nothing more.
-- KEYS  session events tokens
-- ARGV  owner_id owner_key_prefix dead_owner now_iso
-- dead_owner: an owner whom the caller knows to be gone although its lease still stands, or ''.
-- Gives {'adopted', token} | {'owned', owner_id, its lease} | {'missing'} | {'terminal', status}

local session = redis.call('HMGET', KEYS[1], 'status', 'owner', 'completed_iterations')
if not session[1] then
  return {'missing'}
end
if terminal(session[1]) then
  return {'terminal', session[1]}
end
local owner = session[2]
if owner and owner ~= '' and owner ~= ARGV[1] and owner ~= ARGV[3] then
  local lease = redis.call('GET', ARGV[2] .. owner)
  if lease then
    return {'owned', owner, lease}
  end
end
local token = redis.call('INCR', KEYS[3])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', token)
-- Where the pace is reckoned from: the time in which nobody served the session says nothing about it.
redis.call('HSET', KEYS[1], 'adopted_at', ARGV[4], 'adopted_with', session[3] or '')
redis.call('HDEL', KEYS[1], 'trouble')
event(KEYS[2], ARGV[4], 'event', 'session.adopted', 'actor', ARGV[1], 'token', token)
return {'adopted', token}
