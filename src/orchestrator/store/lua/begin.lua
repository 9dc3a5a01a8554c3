-- An iteration begins: its parameters are stored before they are evaluated, so that whoever resumes evaluates the same.
-- KEYS  job iteration candidates points session
-- ARGV  token worker_id g point params(JSON) fields(JSON) params_fields(JSON) max_failures bars(JSON) iteration
-- point: the text of the point to claim, or '' where the optimizer does not mind repeating one.
-- max_failures: with so many FAILED iterations in the session nothing more begins; '' for no limit.
-- bars: what its running value must reach to go on, stored like its parameters; '' without a pruner.
-- Gives {'begun'} | {'stored', params, bars} | {'recorded'} | {'taken', g} | {'enough', failures} | {'fenced', token}

local job = redis.call('HMGET', KEYS[1], 'token', 'status', 'begun')
if job[1] ~= ARGV[1] or job[2] ~= 'RUNNING' then
  return {'fenced', job[1] or ''}
end

-- The others see what is being evaluated. JSON is put together as text: cjson would round its numbers.
local function show_candidate(params)
  redis.call('HSET', KEYS[3], ARGV[2], '{"g":' .. ARGV[3] .. ',"params":' .. params .. '}')
end

local known = redis.call('HMGET', KEYS[2], 'status', 'params', 'bars')
local failures = redis.call('HGET', KEYS[5], 'failed_iterations')
if ARGV[8] ~= '' and (not known[1] or known[1] == 'RUNNING') and tonumber(failures) >= tonumber(ARGV[8]) then
  return {'enough', failures}
end
if known[1] == 'RUNNING' then
  hset(KEYS[2], cjson.decode(ARGV[6]))
  show_candidate(known[2])
  return {'stored', known[2], known[3] or ''}
end
if known[1] then
  return {'recorded'}
end
if ARGV[4] ~= '' then
  local holder = redis.call('HGET', KEYS[4], ARGV[4])
  if holder and holder ~= ARGV[3] then
    return {'taken', holder}
  end
  redis.call('HSET', KEYS[4], ARGV[4], ARGV[3])
end
hset(KEYS[2], cjson.decode(ARGV[6]))
hset(KEYS[2], cjson.decode(ARGV[7]))
redis.call('HSET', KEYS[2], 'params', ARGV[5], 'status', 'RUNNING')
if ARGV[9] ~= '' then
  redis.call('HSET', KEYS[2], 'bars', ARGV[9])
end
show_candidate(ARGV[5])
if tonumber(ARGV[10]) > tonumber(job[3] or '0') then
  redis.call('HSET', KEYS[1], 'begun', ARGV[10]) -- how far whoever removes the session has to look for records
end
return {'begun'}
