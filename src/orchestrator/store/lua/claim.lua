-- Who evaluates a point of which an iteration has stored the parameters: that iteration, or one that has claimed it before.
-- KEYS  points candidates holder_job holder_iteration
-- ARGV  point g holder holder_worker
-- holder: the g that the caller has seen to hold the claim; the last two keys are its. '' where nobody did.
-- A claim is passed on when nothing comes of it: its holder gave no result, or is not at it (its worker died, say).
-- Gives {'own'} | {'under_way'} | {'succeeded'} | {'moved'}

local holder = redis.call('HGET', KEYS[1], ARGV[1])
if holder and holder ~= ARGV[2] then
  if holder ~= ARGV[3] then
    return {'moved'}
  end
  local status = redis.call('HGET', KEYS[4], 'status')
  if status == 'SUCCESS' then
    return {'succeeded'}
  end
  local candidate = redis.call('HGET', KEYS[2], ARGV[4])
  local at_it = candidate and cjson.decode(candidate).g == tonumber(holder)
  if status == 'RUNNING' and at_it and redis.call('HGET', KEYS[3], 'status') == 'RUNNING' then
    return {'under_way'}
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {'own'}
