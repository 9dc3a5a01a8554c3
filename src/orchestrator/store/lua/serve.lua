-- Become the one daemon of an env, or stay it.
-- KEYS  daemon
-- ARGV  owner_id ttl_ms dead_owner owner_key_prefix
-- Gives {'serving'} | {'other', owner_id, its lease}

local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] and now ~= ARGV[3] then
  return {'other', now, redis.call('GET', ARGV[4] .. now) or ''}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'serving'}
