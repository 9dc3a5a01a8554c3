-- No session of the env begins a job, or all do again.
-- KEYS  paused wake
-- ARGV  who and when (JSON), or '' to begin again
-- Gives {'done'}

if ARGV[1] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1])
end
wake(KEYS[2], '') -- no session: every one of them
return {'done'}
