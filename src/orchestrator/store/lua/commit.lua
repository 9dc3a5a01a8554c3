-- An iteration is recorded: once. The first commit wins, and moves every counter with it.
-- KEYS  session job iteration candidates results metrics failed
-- ARGV  token g status now_iso value direction fields(JSON) result(JSON) metric_names(JSON list)
-- Gives {'done'} | {'recorded'} | {'fenced', token}

local job = redis.call('HMGET', KEYS[2], 'token', 'status', 'worker_id')
if job[1] ~= ARGV[1] or job[2] ~= 'RUNNING' then
  return {'fenced', job[1] or ''}
end
local known = redis.call('HGET', KEYS[3], 'status')
if known and known ~= 'RUNNING' then
  return {'recorded'}
end

local g, status, now, value = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
hset(KEYS[3], cjson.decode(ARGV[7]))
redis.call('HSET', KEYS[3], 'status', status)
redis.call('HDEL', KEYS[4], job[3])
local entry = redis.call('XADD', KEYS[5], '*', 'result', ARGV[8])
redis.call('HINCRBY', KEYS[2], 'recorded', 1)
redis.call('HSET', KEYS[2], 'lost', '0')
redis.call('HINCRBY', KEYS[1], 'completed_iterations', 1)
redis.call('HSET', KEYS[1], 'last_update', now)
for _, name in ipairs(cjson.decode(ARGV[9])) do
  redis.call('SADD', KEYS[6], name)
end
if status == 'FAILED' then
  redis.call('HSET', KEYS[7], KEYS[3], entry) -- where a retry finds it, and the result that does not count any more
  redis.call('HINCRBY', KEYS[2], 'failed', 1)
  redis.call('HINCRBY', KEYS[1], 'failed_iterations', 1)
  return {'done'}
end
if status == 'PRUNED' then
  redis.call('HINCRBY', KEYS[1], 'pruned_iterations', 1)
  return {'done'}
end

-- The best so far; of equals the one dealt first, so that the order of arrival decides nothing.
local best = redis.call('HMGET', KEYS[1], 'best_value', 'best_g')
local better = not best[1] or best[1] == ''
if not better then
  local new, old = tonumber(value), tonumber(best[1])
  if ARGV[6] == 'minimize' then
    new, old = -new, -old
  end
  better = new > old or (new == old and tonumber(g) < tonumber(best[2]))
end
if better then
  redis.call('HSET', KEYS[1], 'best_value', value, 'best_g', g, 'best', ARGV[8])
end
return {'done'}
