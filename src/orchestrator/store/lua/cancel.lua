-- Somebody wants jobs of a session to end. Those that wait end here and now; those that run are told through the wake.
-- KEYS  session jobs events active retention wake candidates
-- ARGV  now_iso now_ms retention_ms session_id job_key_prefix worker_id reason grace_ms actor
-- worker_id: of the one job that is meant, or '' for all. grace_ms: '' for the session's own.
-- Gives {'done', cancelled, told} | {'missing'} | {'terminal', status} | {'no_worker'}

local status = redis.call('HGET', KEYS[1], 'status')
if not status then
  return {'missing'}
end
if terminal(status) then
  return {'terminal', status}
end
local cancelled, told, found = 0, 0, false
local function tell(...)
  if cancelled + told < EVENTS_KEPT then -- a hundred thousand jobs are cancelled here at once, and Redis waits
    event(KEYS[3], ARGV[1], 'event', ...)
  end
end
for _, job_id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local key = ARGV[5] .. job_id
  local job = redis.call('HMGET', key, 'status', 'worker_id', 'attempt')
  if ARGV[6] == '' or ARGV[6] == job[2] then
    found = true
    if job[1] == 'PENDING' then
      redis.call('HSET', key, 'status', 'CANCELLED', 'reason', ARGV[7], 'finished_at', ARGV[1], 'retry_at', '')
      redis.call('HDEL', KEYS[7], job[2])
      tell('job.cancelled', 'worker_id', job[2], 'from', 'PENDING', 'to', 'CANCELLED', 'attempt', job[3],
        'reason', ARGV[7], 'actor', ARGV[9])
      cancelled = cancelled + 1
    elseif job[1] == 'RUNNING' then
      redis.call('HSET', key, 'cancel', ARGV[7], 'cancel_grace', ARGV[8])
      tell('job.cancel_requested', 'worker_id', job[2], 'attempt', job[3], 'reason', ARGV[7], 'actor', ARGV[9])
      told = told + 1
    end
  end
end
if not found then
  return {'no_worker'}
end
redis.call('HINCRBY', KEYS[1], 'jobs_PENDING', -cancelled)
redis.call('HINCRBY', KEYS[1], 'jobs_CANCELLED', cancelled)
follow_jobs(KEYS[1], KEYS[3], KEYS[4], KEYS[5], ARGV[4], ARGV[1], ARGV[2], ARGV[3], ARGV[9])
wake(KEYS[6], ARGV[4])
return {'done', tostring(cancelled), tostring(told)}
