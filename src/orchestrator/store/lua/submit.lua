-- A session and all its jobs come to be at once, or not at all.
-- KEYS  session jobs events sessions active schema wake
-- ARGV  schema_version now_iso now_ms session_id session(JSON fields) jobs(JSON list of fields) job_key_prefix
-- Gives {'created'} | {'exists', spec_hash, status} | {'schema', version}

local version = redis.call('GET', KEYS[6])
if version and version ~= ARGV[1] then
  return {'schema', version}
end
local known = redis.call('HMGET', KEYS[1], 'spec_hash', 'status')
if known[2] then
  return {'exists', known[1], known[2]}
end
redis.call('SET', KEYS[6], ARGV[1])
local session = cjson.decode(ARGV[5])
hset(KEYS[1], session)
for _, job in ipairs(cjson.decode(ARGV[6])) do
  redis.call('RPUSH', KEYS[2], job.job_id)
  hset(ARGV[7] .. job.job_id, job)
end
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[4])
redis.call('SADD', KEYS[5], ARGV[4])
event(KEYS[3], ARGV[2], 'event', 'session.submitted', 'to', 'PENDING', 'actor', session.submitted_by or '')
wake(KEYS[7], ARGV[4])
return {'created'}
