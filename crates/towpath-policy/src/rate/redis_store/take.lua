-- Takes from one budget, by the clock of the server.
-- A budget is kept as "at:owed:token": what was owed at that microsecond, in units of which
-- one token is so many. ARGV: units earned in a microsecond, units of one token, units to
-- take, units that may be owed before. Answers 0, or the microseconds to wait.
local earns, token = tonumber(ARGV[1]), tonumber(ARGV[2])
local cost, room = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local owed, set_back = 0, false
local kept = redis.call('GET', KEYS[1])
if kept then
  local at, before, unit = string.match(kept, '^(%d+):(%d+):(%d+)$')
  at, before, unit = tonumber(at), tonumber(before), tonumber(unit)
  if unit ~= token then
    before = math.ceil(before * token / unit)
  end
  -- A clock that was set back earns nothing for that, and counts from there.
  set_back = now < at
  owed = math.max(0, before - math.max(0, now - at) * earns)
end

local admits = owed <= room
if admits then
  owed = owed + cost
end
if admits or set_back then
  -- When nothing is owed any more the key is as good as none.
  local fresh = math.ceil(owed / earns / 1000) + 1
  local budget = string.format('%.0f:%.0f:%.0f', now, owed, token)
  redis.call('SET', KEYS[1], budget, 'PX', string.format('%.0f', fresh))
end
if admits then
  return 0
end
return math.ceil((owed - room) / earns)
