-- The one way out of a terminal status: failed and cancelled jobs run again, and FAILED iterations are evaluated again
-- with the parameters that they had.
-- KEYS  session jobs events active retention wake results failed
-- ARGV  now_iso session_id job_key_prefix actor
-- Gives {'done', jobs, iterations} | {'missing'} | {'running', status} | {'nothing'}

local status = redis.call('HGET', KEYS[1], 'status')
if not status then
  return {'missing'}
end
if not terminal(status) then
  return {'running', status}
end

-- An iteration's record keeps the timestamp of the evaluation that failed: by that its row in the CSV is known.
local iterations = 0
local records = redis.call('HGETALL', KEYS[8])
for index = 1, #records, 2 do
  local record = records[index]
  if redis.call('HGET', record, 'status') == 'FAILED' then
    for _, name in ipairs(redis.call('HKEYS', record)) do
      if string.sub(name, 1, 8) == 'metrics_' then
        redis.call('HDEL', record, name)
      end
    end
    redis.call('HSET', record, 'status', 'RUNNING')
    redis.call('XDEL', KEYS[7], records[index + 1])
    iterations = iterations + 1
  end
end
redis.call('DEL', KEYS[8])

local jobs = 0
for _, job_id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local key = ARGV[3] .. job_id
  local job = redis.call('HMGET', key, 'status', 'worker_id', 'failed', 'attempt')
  local failed = tonumber(job[3] or '0')
  if job[1] == 'FAILED' or job[1] == 'CANCELLED' or failed > 0 then
    redis.call('HINCRBY', key, 'recorded', 0 - failed) -- not -failed: Redis 7.0 refuses a minus before a zero
    redis.call('HINCRBY', key, 'failed', 0 - failed)
    redis.call('HSET', key, 'status', 'PENDING', 'failures', '0', 'lost', '0', 'reason', 'retry', 'retry_at', '',
      'finished_at', '', 'started_at', '', 'verdict', '', 'cancel', '', 'spent', '0')
    redis.call('HINCRBY', KEYS[1], 'jobs_' .. job[1], -1)
    redis.call('HINCRBY', KEYS[1], 'jobs_PENDING', 1)
    event(KEYS[3], ARGV[1], 'event', 'job.pending', 'worker_id', job[2], 'from', job[1], 'to', 'PENDING',
      'attempt', job[4], 'reason', 'retry', 'actor', ARGV[4])
    jobs = jobs + 1
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
event(KEYS[3], ARGV[1], 'event', 'session.pending', 'from', status, 'to', 'PENDING', 'reason', 'retry', 'actor', ARGV[4])
wake(KEYS[6], ARGV[2])
return {'done', tostring(jobs), tostring(iterations)}
