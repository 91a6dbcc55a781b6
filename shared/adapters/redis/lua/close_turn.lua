-- Appends a committed turn to the cached window, or replaces the window, and deletes the lease.
-- KEYS[1] session hash; ARGV: gen, seq, turn_id, turn, owner, idle_ttl_s, max_turns, max_bytes,
-- has_window ("1" or "0"), then pairs of seq and turn for the window.
-- Idempotent: content that is already there, or newer, stays.
local key, gen, seq, turn_id = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local turn, owner = ARGV[4], ARGV[5]
-- A session that was deleted, erased or evicted does not come back.
if redis.call('EXISTS', key) == 0 then return 'absent' end

local turns, leases = {}, {}
local names = redis.call('HKEYS', key)
for _, name in ipairs(names) do
  local kind = string.sub(name, 1, 2)
  if kind == 't:' then turns[#turns + 1] = tonumber(string.sub(name, 3)) end
  if kind == 'o:' then leases[#leases + 1] = name end
end

local function clear()
  redis.call('HDEL', key, 'gen', 'n')
  for _, number in ipairs(turns) do redis.call('HDEL', key, 't:' .. number) end
  turns = {}
end

local function put(number, value)
  redis.call('HSET', key, 't:' .. number, value)
  turns[#turns + 1] = tonumber(number)
end

local head = redis.call('HMGET', key, 'gen', 'n')
local cached_gen, count = head[1], tonumber(head[2] or -1) or -1
local lease = redis.call('HGET', key, 'o:' .. turn_id)
local mine = lease and string.match(lease, '^%S+') == owner

if cached_gen == gen and count >= seq then
  -- a repeat, or a newer turn is cached already
elseif ARGV[9] == '1' and mine then
  -- a cold turn fills the cache; its lease shows that the session was not deleted since
  clear()
  for i = 10, #ARGV, 2 do put(ARGV[i], ARGV[i + 1]) end
  put(seq, turn)
  redis.call('HSET', key, 'gen', gen, 'n', seq)
elseif cached_gen == gen and count == seq - 1 then
  put(seq, turn)
  redis.call('HSET', key, 'n', seq)
else
  clear() -- the next turn reads Cosmos DB
end

local time = redis.call('TIME')
local a_minute_ago = time[1] * 1000 + math.floor(time[2] / 1000) - 60000
for _, name in ipairs(leases) do
  local held = redis.call('HGET', key, name)
  local expired = tonumber(string.match(held, '%d+$')) < a_minute_ago
  if (mine and name == 'o:' .. turn_id) or expired then
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
