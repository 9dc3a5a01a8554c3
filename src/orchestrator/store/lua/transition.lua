-- Who runs a session changes the status of one of its jobs. (What people want goes through cancel and retry.)
-- KEYS  session job events active retention tokens candidates
-- ARGV  token op expected to now_iso now_ms session_id actor fields(JSON) retention_ms
-- expected: '' where the table has no such change; no job is in that status.
-- op: names this very change; sent again after a lost reply it is done already, not a conflict.
-- Every attempt gets a fencing token of its own, so that a worker of an earlier one can record nothing.
-- Gives {'done', session_status, job_token} | {'fenced', token} | {'conflict', status} | {'missing'}

local session = redis.call('HMGET', KEYS[1], 'token', 'status')
local job = redis.call('HMGET', KEYS[2], 'status', 'op', 'worker_id', 'attempt', 'token')
if not session[2] or not job[1] then
  return {'missing'}
end
if session[1] ~= ARGV[1] then
  return {'fenced', session[1]}
end
if job[2] == ARGV[2] then
  return {'done', session[2], job[5]}
end
if job[1] ~= ARGV[3] then
  return {'conflict', job[1]}
end

local to, now = ARGV[4], ARGV[5]
local fields = cjson.decode(ARGV[9])
fields.status, fields.op = to, ARGV[2]
if to == 'RUNNING' then
  fields.token = string.format('%d', redis.call('INCR', KEYS[6]))
elseif to ~= 'PENDING' then
  redis.call('HDEL', KEYS[7], job[3])
end
hset(KEYS[2], fields)
redis.call('HINCRBY', KEYS[1], 'jobs_' .. ARGV[3], -1)
redis.call('HINCRBY', KEYS[1], 'jobs_' .. to, 1)
event(KEYS[3], now, 'event', 'job.' .. string.lower(to), 'worker_id', job[3], 'from', ARGV[3], 'to', to,
  'attempt', fields.attempt or job[4], 'reason', fields.reason or '', 'actor', ARGV[8])

local status = follow_jobs(KEYS[1], KEYS[3], KEYS[4], KEYS[5], ARGV[7], now, ARGV[6], ARGV[10], ARGV[8])
return {'done', status, fields.token or job[5]}
