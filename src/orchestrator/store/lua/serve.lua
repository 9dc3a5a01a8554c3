-- Become the one daemon of an env, or stay it, or stand by for it; with a ttl of 0, be none of these any longer.
-- KEYS  daemon standby
-- ARGV  owner_id ttl_ms dead_owner owner_key_prefix
-- Gives {'serving'} | {'other', owner_id, its lease}

local now = redis.call('GET', KEYS[1])
local other = now and now ~= ARGV[1] and now ~= ARGV[3]
if other and ARGV[2] ~= '0' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
elseif redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
if other then
  return {'other', now, redis.call('GET', ARGV[4] .. now) or ''}
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return {'serving'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'serving'}
