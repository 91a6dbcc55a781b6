-- Ends the owner's lease at once: its deadline is set to 0, and the field stays.
-- KEYS[1] session hash; ARGV: turn_id, owner
-- Idempotent, also when late: another owner's lease is not touched.
local lease = redis.call('HGET', KEYS[1], 'o:' .. ARGV[1])
if not lease then return 'absent' end
local holder, body_hash = string.match(lease, '^(%S+) (%S+) %d+$')
if holder == ARGV[2] then
  redis.call('HSET', KEYS[1], 'o:' .. ARGV[1], holder .. ' ' .. body_hash .. ' 0')
end
return 'released'
