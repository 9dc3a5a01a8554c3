-- Put before every script. Events are capped: they tell the recent story; the hashes hold the facts.

local EVENTS_KEPT = 10000

local function event(key, now, ...)
  redis.call('XADD', key, 'MAXLEN', '~', EVENTS_KEPT, '*', 'time', now, ...)
end

-- HSET of a table {field = value}; an empty table writes nothing.
local function hset(key, fields)
  local flat = {}
  for name, value in pairs(fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  if #flat > 0 then
    redis.call('HSET', key, unpack(flat))
  end
end
