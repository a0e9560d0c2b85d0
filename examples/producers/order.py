#!/usr/bin/env python3
"""A small shop: places an order and queues its message in one transaction, then waits for its delivery.

    python3 order.py DATABASE ORDER_ID CASE_ID
"""
import json
import sqlite3
import sys
import time


def place(db, order, case):
    """Inserts both rows or neither. False: the order already exists, and nothing was written."""
    message = {"caseId": case, "message": f"Order {order} has shipped."}
    db.execute("BEGIN IMMEDIATE")  # takes the write lock now, so that no other writer can get it halfway
    try:
        # The same key twice is one message.
        db.execute(
            "INSERT INTO outbox (channel, payload, idempotency_key, source)"
            " VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING",
            (json.dumps(message), key(order)))
        db.execute("INSERT INTO orders (id, case_id) VALUES (?, ?)", (order, case))
        db.execute("COMMIT")
        return True
    except sqlite3.IntegrityError as error:
        db.execute("ROLLBACK")  # the message is rolled back too
        print(f"order {order}: nothing was written: {error}", file=sys.stderr)
        return False


def outcome(db, order, limit=30.0):
    """(status, message_id, error) of the order's message once it has ended; None if there is none."""
    end = time.monotonic() + limit
    while True:
        row = db.execute(
            "SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?",
            (key(order),)).fetchone()
        if row is None or row[0] not in ("pending", "sending") or time.monotonic() > end:
            return row
        time.sleep(0.1)


def key(order):
    return f"order-{order}-shipped"


def main():
    path, order, case = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    db = sqlite3.connect(path, isolation_level=None)  # BEGIN and COMMIT are ours
    db.execute("PRAGMA busy_timeout = 5000")  # wait for another writer instead of failing
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)")
    place(db, order, case)
    row = outcome(db, order)
    if row is None:
        print(f"order {order}: no message")
        return 1
    status, message_id, error = row
    if status == "sent":
        print(f"order {order}: sent, message {message_id}")
        return 0
    print(f"order {order}: {status}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
