-- Become the one daemon of an env, or stay it; with a ttl of 0, be it no longer.
-- KEYS  daemon
-- ARGV  owner_id ttl_ms dead_owner owner_key_prefix
-- Gives {'serving'} | {'other', owner_id, its lease}

local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] and now ~= ARGV[3] then
  return {'other', now, redis.call('GET', ARGV[4] .. now) or ''}
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return {'serving'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'serving'}
