-- What drivers do at the level of messages.

-- case: prepared statement used many times
-- mode: script
parse s SELECT id, label, ssn FROM people WHERE id = $1
describe S s
sync
wait
bind - s 1
execute -
sync
wait
bind - s 2
execute -
bind - s 3
execute -
sync
wait
close S s
sync
wait

-- case: portal in chunks
-- mode: script
query BEGIN
wait
parse - SELECT id FROM orders ORDER BY id
bind c -
execute c 10
flush
execute c 10
sync
wait
execute c 10
close P c
sync
wait
query COMMIT
wait

-- case: pipeline of many
-- mode: script
parse a SELECT id FROM orders WHERE id = $1
bind - a 1
execute -
bind - a 2
execute -
parse b UPDATE scratch SET n = n WHERE id = $1
bind - b 1
execute -
sync
wait

-- case: pipeline with implicit transaction
-- mode: script
parse - INSERT INTO scratch (id) VALUES (8001)
bind - -
execute -
parse - DELETE FROM scratch WHERE id = 8001
bind - -
execute -
sync
wait

-- case: describe before bind and after
-- mode: script
parse q SELECT id, email, doc FROM people WHERE id = $1
describe S q
flush
bind p q 4
describe P p
execute p
sync
wait

-- case: binary results
-- mode: script
parse - SELECT id, amount, placed FROM orders WHERE id < 5
bind-binary - -
execute -
sync
wait

-- case: binary results of a masked table
-- mode: script
parse - SELECT id, label, joined, ssn FROM people WHERE id < 5
bind-binary - -
execute -
sync
wait

-- case: copy in by messages
-- mode: script
query BEGIN
wait
query COPY scratch (id, body) FROM STDIN
read G
copy-data 8101\tx\n
copy-data 8102\ty\n
copy-done
wait
query ROLLBACK
wait

-- case: copy in failed by the client
-- mode: script
-- sqlstate: 57014
query COPY scratch (id, body) FROM STDIN
read G
copy-fail
wait

-- case: extended copy out
-- mode: script
parse - COPY orders (id) TO STDOUT
bind - -
execute -
sync
wait

-- case: sync alone
-- mode: script
sync
wait
sync
wait

-- case: empty query by messages
-- mode: script
parse - 
bind - -
execute -
sync
wait

-- case: close what is not there
-- mode: script
close S nothing
close P nothing
sync
wait

-- case: small frames
-- mode: script
frames 1
parse - SELECT id FROM orders ORDER BY id
bind - -
describe P -
execute -
sync
wait

-- case: transaction by messages
-- mode: script
parse - BEGIN
bind - -
execute -
sync
wait
parse - SELECT count(*) FROM people
bind - -
execute -
sync
wait
parse - COMMIT
bind - -
execute -
sync
wait

-- case: error then the next
-- mode: script
parse - SELECT 1
bind - -
execute -
sync
wait
