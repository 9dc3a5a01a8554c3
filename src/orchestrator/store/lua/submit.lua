-- A session and all its jobs come to be at once, or not at all.
-- KEYS  session jobs events sessions active schema wake prior earlier earlier_results
-- ARGV  schema_version now_iso now_ms session_id session(JSON fields) jobs(JSON list) job_key_prefix resume_from
-- A job is its fields or, where these were sent ahead, its id. What was sent ahead lives on from here.
-- Sent again after a lost reply, it is known by its first job: job ids are never used twice.
-- resume_from: the session whose results are copied, earlier and earlier_results being its keys; '' for none.
-- Gives {'created'} | {'exists', spec_hash, status} | {'schema', version} | {'late'} | {'no_earlier'}

local version = redis.call('GET', KEYS[6])
if version and version ~= ARGV[1] then
  return {'schema', version}
end
local jobs = cjson.decode(ARGV[6])
local ids = {}
for number, job in ipairs(jobs) do
  ids[number] = type(job) == 'table' and job.job_id or job
end
local known = redis.call('HMGET', KEYS[1], 'spec_hash', 'status')
if known[2] then
  if redis.call('LINDEX', KEYS[2], 0) == ids[1] then
    return {'created'}
  end
  return {'exists', known[1], known[2]}
end
if ARGV[8] ~= '' and redis.call('EXISTS', KEYS[9]) == 0 then
  return {'no_earlier'}
end
for number, job in ipairs(jobs) do
  local key = ARGV[7] .. ids[number]
  if type(job) == 'table' then
    hset(key, job)
  elseif redis.call('PERSIST', key) == 0 then
    return {'late'} -- the first one: it was sent first and expires first, so nothing has been written yet
  end
end
for first = 1, #ids, 1000 do -- unpack has its limits
  redis.call('RPUSH', KEYS[2], unpack(ids, first, math.min(first + 999, #ids)))
end
if ARGV[8] ~= '' and redis.call('COPY', KEYS[10], KEYS[8]) == 1 then
  redis.call('PERSIST', KEYS[8]) -- a copy would expire with what it was made of
end
redis.call('SET', KEYS[6], ARGV[1])
local session = cjson.decode(ARGV[5])
hset(KEYS[1], session)
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[4])
redis.call('SADD', KEYS[5], ARGV[4])
event(KEYS[3], ARGV[2], 'event', 'session.submitted', 'to', 'PENDING', 'actor', session.submitted_by or '')
wake(KEYS[7], ARGV[4])
return {'created'}
