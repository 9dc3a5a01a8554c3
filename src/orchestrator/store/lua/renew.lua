-- An owner says that it lives, and learns which of its sessions somebody else has taken since, and whether somebody
-- would take them if it did not: the env's daemon, or one that stands by for it.
-- KEYS  owner daemon standby session...
-- ARGV  ttl_ms lease(JSON) owner_id token...
-- Gives {'contested' | '', 1-based positions of the sessions that are no longer the caller's...}

redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
local function another(key)
  local holder = redis.call('GET', key)
  return holder and holder ~= ARGV[3]
end
local told = {(another(KEYS[2]) or another(KEYS[3])) and 'contested' or ''}
for index = 4, #KEYS do
  if redis.call('HGET', KEYS[index], 'token') ~= ARGV[index] then
    told[#told + 1] = index - 3
  end
end
return told
