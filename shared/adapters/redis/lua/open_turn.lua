-- Takes the lease of a turn and reads the session.
-- KEYS[1] session hash; ARGV: turn_id, owner, body_hash, lease_ms, idle_ttl_s
-- Returns {"content", name, value, ...} and takes the lease unless the turn is cached already,
-- {"busy", remaining_ms} if another owner holds it, or {"conflict"} if that has another body.
-- Idempotent: a repeat by the same owner takes the same lease.
local key, turn_id, owner, body_hash = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local mark = turn_id .. '\n'
local answer, lease, finished = {'content'}, nil, false
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'o:' .. turn_id then
    lease = value
  elseif string.sub(name, 1, 2) ~= 'o:' then
    answer[#answer + 1] = name
    answer[#answer + 1] = value
    if string.sub(name, 1, 2) == 't:' and string.sub(value, 1, #mark) == mark then
      finished = true
    end
  end
end
if not finished then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if lease then
    local holder, held_hash, deadline = string.match(lease, '^(%S+) (%S+) (%d+)$')
    if holder ~= owner and now < tonumber(deadline) then
      if held_hash ~= body_hash then return {'conflict'} end
      return {'busy', tonumber(deadline) - now}
    end
  end
  local expires_at = string.format('%d', now + ARGV[4])
  redis.call('HSET', key, 'o:' .. turn_id, owner .. ' ' .. body_hash .. ' ' .. expires_at)
end
redis.call('EXPIRE', key, ARGV[5])
return answer
