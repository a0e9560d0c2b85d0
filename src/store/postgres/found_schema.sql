-- Our objects in the first schema of the search path, by their names: kind, name, and of a table the columns, of an index
-- whether it can be used, of a function the SHA-256 of its body, of a trigger when it fires. An application's own
-- triggers, indexes and columns do no harm.
WITH ours AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND (c.relname LIKE 'outbox%' OR c.relname = 'delivery_status'))
SELECT CASE WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'c' THEN 'type' WHEN c.relkind IN ('i', 'I') THEN 'index'
            ELSE 'table' END AS kind,
    c.relname::text AS name,
    CASE WHEN c.relkind IN ('r', 'p') THEN (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_attribute a
                                            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
         WHEN c.relkind IN ('i', 'I') THEN (SELECT i.indisvalid::text FROM pg_index i WHERE i.indexrelid = c.oid) END AS detail
FROM ours c WHERE c.relkind IN ('r', 'p', 'v', 'c', 'i', 'I')
UNION ALL
SELECT 'function', p.proname::text, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = current_schema() AND p.proname LIKE 'outbox%'
UNION ALL
SELECT 'trigger', t.tgname::text, t.tgenabled::text
FROM pg_trigger t JOIN ours c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
