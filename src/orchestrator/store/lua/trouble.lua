-- Nobody can run a session for now; `adopt` ends that.
-- KEYS  session
-- ARGV  why
-- Gives {'done'}

if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'trouble', ARGV[1])
end
return {'done'}
