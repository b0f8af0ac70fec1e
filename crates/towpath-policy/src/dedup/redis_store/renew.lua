-- Lets the lease begin anew if the claim still holds. ARGV: the claim, the lease in ms.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
