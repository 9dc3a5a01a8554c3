-- A session begins no job, or does again; what runs goes on.
-- KEYS  session events wake
-- ARGV  now_iso session_id paused('1' or '') actor
-- Gives {'done'} | {'missing'} | {'terminal', status}

local status = redis.call('HGET', KEYS[1], 'status')
if not status then
  return {'missing'}
end
if terminal(status) then
  return {'terminal', status}
end
redis.call('HSET', KEYS[1], 'paused', ARGV[3])
event(KEYS[2], ARGV[1], 'event', ARGV[3] == '' and 'session.resumed' or 'session.paused', 'actor', ARGV[4])
wake(KEYS[3], ARGV[2])
return {'done'}
