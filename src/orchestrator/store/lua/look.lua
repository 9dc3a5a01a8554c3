-- Somebody has scored points of a session on its held-out days: that is counted, as one look at each of these days and as
-- many points as are new.
-- KEYS  session holdout looks scored
-- ARGV  held_out(JSON, the days' names) results(JSON, point → text)
-- Gives {'done'} | {'missing'}

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
local fresh, points = {}, 0
for point, text in pairs(cjson.decode(ARGV[2])) do
  if redis.call('HEXISTS', KEYS[2], point) == 0 then
    fresh[point], points = text, points + 1
  end
end
if points > 0 then
  local number = redis.call('HINCRBY', KEYS[2], 'looks', 1)
  for _, day in ipairs(cjson.decode(ARGV[1])) do
    redis.call('HINCRBY', KEYS[3], day, 1)
    redis.call('HINCRBY', KEYS[4], day, points)
  end
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
