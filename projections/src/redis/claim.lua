-- Takes a read model over. KEYS: checkpoint. ARGV: name, version.
-- Answers {what became of it, epoch, position, detail}.
local stored = redis.call('HMGET', KEYS[1], 'name', 'version', 'position', 'torn', 'clearing')
local name, version, position, torn, clearing = unpack(stored)
if not name then
    -- The clock makes an epoch that no claim had before Redis lost its data.
    local now = redis.call('TIME')
    local epoch = string.format('%d%06d', now[1], now[2])
    redis.call('HSET', KEYS[1], 'name', ARGV[1], 'version', ARGV[2],
        'epoch', epoch, 'position', '0', 'clearing', '1')
    return {'clear', epoch, '0', ''}
end
if name ~= ARGV[1] or version ~= ARGV[2] then
    return {'foreign', '0', '0', name .. ' version ' .. version}
end
if torn then
    return {'torn', '0', position, torn}
end
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
-- Read back as text: a Lua number would be printed in scientific notation.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
return {clearing and 'clear' or 'claimed', epoch, position, ''}
