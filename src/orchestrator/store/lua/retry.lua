-- The one way out of a terminal status: failed and cancelled jobs run again, and FAILED iterations are evaluated again
-- with the parameters that they had.
-- KEYS  session jobs events active retention wake results
-- ARGV  now_iso session_id job_key_prefix iteration_key_pattern actor
-- iteration_key_pattern: an iteration's key with {worker_id} and {iteration} in it.
-- Gives {'done', jobs, iterations} | {'missing'} | {'running', status} | {'nothing'}

local status = redis.call('HGET', KEYS[1], 'status')
if not status then
  return {'missing'}
end
if not terminal(status) then
  return {'running', status}
end
local jobs, iterations = 0, 0
for _, job_id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local key = ARGV[3] .. job_id
  local job = redis.call('HMGET', key, 'status', 'worker_id', 'iterations', 'failed', 'attempt')
  local failed = tonumber(job[4] or '0')
  if job[1] == 'FAILED' or job[1] == 'CANCELLED' or failed > 0 then
    local again = 0
    if failed > 0 then
      for iteration = 1, tonumber(job[3]) do
        local record = ARGV[4]:gsub('{worker_id}', job[2]):gsub('{iteration}', tostring(iteration))
        local known = redis.call('HMGET', record, 'status', 'entry')
        if known[1] == 'FAILED' then
          redis.call('HSET', record, 'status', 'RUNNING', 'retried_at', ARGV[1])
          if known[2] then
            redis.call('XDEL', KEYS[7], known[2])
          end
          again = again + 1
        end
      end
      redis.call('HINCRBY', key, 'recorded', 0 - again) -- not -again: Redis 7.0 refuses a minus before a zero
      redis.call('HINCRBY', key, 'failed', 0 - again)
    end
    redis.call('HSET', key, 'status', 'PENDING', 'failures', '0', 'reason', 'retry', 'retry_at', '', 'finished_at', '',
      'started_at', '', 'verdict', '', 'cancel', '', 'spent', '0')
    redis.call('HINCRBY', KEYS[1], 'jobs_' .. job[1], -1)
    redis.call('HINCRBY', KEYS[1], 'jobs_PENDING', 1)
    event(KEYS[3], ARGV[1], 'event', 'job.pending', 'worker_id', job[2], 'from', job[1], 'to', 'PENDING',
      'attempt', job[5], 'reason', 'retry', 'actor', ARGV[5])
    jobs, iterations = jobs + 1, iterations + again
  end
end
if jobs == 0 then
  return {'nothing'}
end
redis.call('HINCRBY', KEYS[1], 'completed_iterations', 0 - iterations)
redis.call('HINCRBY', KEYS[1], 'failed_iterations', 0 - iterations)
redis.call('HSET', KEYS[1], 'status', 'PENDING', 'last_update', ARGV[1])
redis.call('HDEL', KEYS[1], 'finished_at', 'expires_at')
redis.call('SADD', KEYS[4], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[2])
event(KEYS[3], ARGV[1], 'event', 'session.pending', 'from', status, 'to', 'PENDING', 'reason', 'retry', 'actor', ARGV[5])
wake(KEYS[6], ARGV[2])
return {'done', tostring(jobs), tostring(iterations)}
