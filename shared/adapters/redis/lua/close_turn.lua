-- KEYS[1] session hash; ARGV: gen, seq, turn_id, turn, owner, idle_ttl_s, max_turns, max_bytes, has_window ("1" or "0"),
-- then seq, turn pairs of the window.
-- Running it twice is harmless: what is there already, or ahead, is left alone.
local key, gen, seq, turn_id, turn, owner = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
if redis.call('EXISTS', key) == 0 then return 'absent' end -- never back to life after a delete, an erase, an eviction

local turns, leases = {}, {}
local names = redis.call('HKEYS', key)
for _, name in ipairs(names) do
  local kind = string.sub(name, 1, 2)
  if kind == 't:' then turns[#turns + 1] = tonumber(string.sub(name, 3)) end
  if kind == 'o:' then leases[#leases + 1] = name end
end

local function unfill()
  redis.call('HDEL', key, 'gen', 'n')
  for _, number in ipairs(turns) do redis.call('HDEL', key, 't:' .. number) end
  turns = {}
end

local function put(number, value)
  redis.call('HSET', key, 't:' .. number, value)
  turns[#turns + 1] = tonumber(number)
end

local head = redis.call('HMGET', key, 'gen', 'n')
local filled_gen, count = head[1], tonumber(head[2] or -1) or -1
local lease = redis.call('HGET', key, 'o:' .. turn_id)
local mine = lease and string.match(lease, '^%S+') == owner

if filled_gen == gen and count >= seq then
  -- somebody was ahead, or this is a repeat
elseif ARGV[9] == '1' and mine then -- a cold turn repairs, with its own lease still there: not after a delete
  unfill()
  for i = 10, #ARGV, 2 do put(ARGV[i], ARGV[i + 1]) end
  put(seq, turn)
  redis.call('HSET', key, 'gen', gen, 'n', seq)
elseif filled_gen == gen and count == seq - 1 then
  put(seq, turn)
  redis.call('HSET', key, 'n', seq)
else
  unfill() -- the next turn reads Cosmos DB
end

local time = redis.call('TIME')
local long_past = time[1] * 1000 + math.floor(time[2] / 1000) - 60000
for _, name in ipairs(leases) do
  local held = redis.call('HGET', key, name)
  if (mine and name == 'o:' .. turn_id) or tonumber(string.match(held, '%d+$')) < long_past then
    redis.call('HDEL', key, name)
  end
end

table.sort(turns)
local bytes = 0
for i = #turns, 1, -1 do
  bytes = bytes + redis.call('HSTRLEN', key, 't:' .. turns[i])
  if i < #turns and (bytes > tonumber(ARGV[8]) or #turns - i >= tonumber(ARGV[7])) then
    for older = 1, i do redis.call('HDEL', key, 't:' .. turns[older]) end
    break
  end
end
redis.call('EXPIRE', key, ARGV[6])
return 'closed'
