-- An owner says that it lives, and learns which of its sessions somebody else has taken since.
-- KEYS  owner session...
-- ARGV  ttl_ms lease(JSON) token...
-- Gives the list of 1-based positions of the sessions that are no longer the caller's.

redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
local lost = {}
for index = 2, #KEYS do
  if redis.call('HGET', KEYS[index], 'token') ~= ARGV[index + 1] then
    lost[#lost + 1] = index - 1
  end
end
return lost
