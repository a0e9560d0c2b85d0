#!/bin/sh
# A small shop: places an order and queues its message in one transaction, then waits for its delivery.
#
#     sh order.sh DATABASE ORDER_ID CASE_ID
set -eu
database=$1 order=$2 case_id=$3

# These become part of the SQL, so only digits are allowed.
for number in "$order" "$case_id"; do
    case $number in '' | *[!0-9]*) echo "not a number: $number" >&2; exit 2 ;; esac
done

# .timeout is SQLite's busy timeout: wait for another writer instead of failing. With -bail the
# first error ends sqlite3, which rolls the transaction back.
sql() { sqlite3 -batch -bail -cmd '.timeout 5000' "$database" "$1"; }

sql 'CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)'

# Inserts both rows or neither: if the order already exists, the message is rolled back too. The same
# key twice is one message. IMMEDIATE takes the write lock now, so that no other writer can get it halfway.
sql "
    BEGIN IMMEDIATE;
    INSERT INTO outbox (channel, payload, idempotency_key, source)
    VALUES ('chat', json_object('caseId', $case_id, 'message', 'Order $order has shipped.'),
            'order-$order-shipped', 'shop')
    ON CONFLICT DO NOTHING;
    INSERT INTO orders (id, case_id) VALUES ($order, $case_id);
    COMMIT;
" || echo "order $order: nothing was written" >&2

tries=0
while :; do
    outcome=$(sql "
        SELECT status, 'order $order: ' || CASE status WHEN 'sent' THEN 'sent, message ' || ifnull(message_id, '')
                                           ELSE status || ': ' || ifnull(error, '') END
        FROM delivery_status WHERE idempotency_key = 'order-$order-shipped'")
    tries=$((tries + 1))
    case $outcome in
        'pending|'* | 'sending|'*) [ "$tries" -lt 300 ] || break ;;
        *) break ;;
    esac
    sleep 0.1
done
[ -n "$outcome" ] || outcome="|order $order: no message"
echo "${outcome#*|}"
case $outcome in 'sent|'*) exit 0 ;; *) exit 1 ;; esac
