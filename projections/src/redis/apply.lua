-- Applies a page. KEYS: checkpoint. ARGV: epoch, where the page begins, where it ends, then for each
-- event: its position, the number of its commands, and for each command: its kind, the number of its
-- arguments, the arguments. Answers {what became of it, position, detail}.
--
-- Redis runs a script alone, but takes nothing back when a command fails. Therefore:
-- 1. `torn` is set before the first effect and removed on every way out that leaves whole events.
-- 2. An event with several commands is checked against the types of its keys before the first runs.
-- 3. The checkpoint ends up behind the last event whose commands have all run.
local epoch, from, to = ARGV[1], ARGV[2], ARGV[3]
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'position', 'torn')
if not stored[1] then return {'moved', '0', ''} end
if stored[1] ~= epoch then return {'fenced', stored[2], ''} end
if stored[3] then return {'torn', stored[2], stored[3]} end
if stored[2] == to and from ~= to then return {'done', to, ''} end
if stored[2] ~= from then return {'moved', stored[2], ''} end

-- The commands of the event whose arguments begin at `at`, and where the next event's begin.
local function read_event(at)
    local commands = {}
    for n = 1, tonumber(ARGV[at + 1]) do
        local start = n == 1 and at + 2 or commands[n - 1].last + 1
        commands[n] = {
            kind = ARGV[start],
            first = start + 2,
            last = start + 1 + tonumber(ARGV[start + 1]),
        }
    end
    return commands, #commands == 0 and at + 2 or commands[#commands].last + 1
end

-- Says which command would meet a key of another type.
local function find_clash(commands)
    local types = {}
    for n, command in ipairs(commands) do
        local kind, key = command.kind, ARGV[command.first + 1]
        if kind == 'any' then
            return nil -- What the keys are after an arbitrary command is not known.
        elseif kind == 'delete' then
            types[key] = 'none'
        elseif kind == 'replace' then
            types[key] = 'string'
        elseif kind ~= 'keep' then
            local found = types[key] or redis.call('TYPE', key).ok
            if found ~= 'none' and found ~= kind then
                return string.format('WRONGTYPE command %d (%s) is for a %s, its key holds a %s',
                    n, ARGV[command.first], kind, found)
            end
            types[key] = kind
        end
    end
end

local whole, at = from, 4
redis.call('HSET', KEYS[1], 'torn', 'a page from ' .. from .. ' to ' .. to .. ' did not end')

local function stop(event, is_torn, detail)
    redis.call('HSET', KEYS[1], 'position', whole)
    if is_torn then
        redis.call('HSET', KEYS[1], 'torn', 'the event at ' .. event .. ': ' .. detail)
    else
        redis.call('HDEL', KEYS[1], 'torn')
    end
    return {is_torn and 'torn' or 'failed', event, detail}
end

while at <= #ARGV do
    local event = ARGV[at]
    local commands, following = read_event(at)
    local clash = #commands > 1 and find_clash(commands)
    if clash then return stop(event, false, clash) end
    for n, command in ipairs(commands) do
        local reply = redis.pcall(unpack(ARGV, command.first, command.last))
        if type(reply) == 'table' and reply.err then
            return stop(event, n > 1, string.format('command %d: %s', n, reply.err))
        end
    end
    whole, at = event, following
end
redis.call('HSET', KEYS[1], 'position', to)
redis.call('HDEL', KEYS[1], 'torn')
return {'applied', to, ''}
