-- Claims a key unless it is done or another owner holds it.
-- ARGV: the claim ("owner:number"), its owner ("owner:"), the lease in milliseconds, and 1 when
-- the message was given back before: then the key is claimed though it is done.
-- Answers 0: claimed; -1: done; else for how many milliseconds somebody else holds it.
local held = redis.call('GET', KEYS[1])
if held == 'done' and ARGV[4] ~= '1' then
  return -1
end
if held and held ~= 'done' and string.sub(held, 1, #ARGV[2]) ~= ARGV[2] then
  return math.max(1, redis.call('PTTL', KEYS[1]))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 0
