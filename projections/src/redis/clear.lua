-- Deletes what an earlier life of the read model left. KEYS: checkpoint, keys to delete.
-- ARGV: epoch, 'more' or 'end'. Answers 1, or 0 if the epoch is over: a successor may have begun to
-- build, and a late deletion must not take that away.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
    return 0
end
for i = 2, #KEYS do
    redis.call('UNLINK', KEYS[i])
end
if ARGV[2] == 'end' then
    redis.call('HDEL', KEYS[1], 'clearing')
end
return 1
