-- Somebody has scored points of a session on its held-out days: that is counted, once for the points that are new.
-- KEYS  session holdout looks
-- ARGV  held_out results(JSON, point → text)
-- Gives {'done'} | {'missing'}

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
local fresh = {}
for point, text in pairs(cjson.decode(ARGV[2])) do
  if redis.call('HEXISTS', KEYS[2], point) == 0 then
    fresh[point] = text
  end
end
if next(fresh) then
  local number = redis.call('HINCRBY', KEYS[2], 'looks', 1)
  redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
  redis.call('HSET', KEYS[2], 'held_out', ARGV[1])
  for point, text in pairs(fresh) do
    redis.call('HSET', KEYS[2], point, number .. ' ' .. text)
  end
  local lives = redis.call('PTTL', KEYS[1])
  if lives > 0 then -- a finished session's keys have their time to live already
    redis.call('PEXPIRE', KEYS[2], lives)
  end
end
return {'done'}
