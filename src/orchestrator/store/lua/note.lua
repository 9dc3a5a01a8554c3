-- Facts about the present attempt that change no status: its pid and handle, or what the worker says of its end.
-- KEYS  job
-- ARGV  token fields(JSON)
-- Gives {'done'} | {'fenced', token}

local job = redis.call('HMGET', KEYS[1], 'token', 'status')
if job[1] ~= ARGV[1] or job[2] ~= 'RUNNING' then
  return {'fenced', job[1] or ''}
end
hset(KEYS[1], cjson.decode(ARGV[2]))
return {'done'}
