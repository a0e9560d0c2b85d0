#!/usr/bin/env python3
"""A small shop: places an order and queues its message in one transaction, then waits for its delivery.
Or cancels an order together with its message, while the message is still waiting.

    python3 order.py DATABASE ORDER_ID CASE_ID
    python3 order.py DATABASE ORDER_ID cancel
"""
import sys
import time

import psycopg2
from psycopg2.extras import Json


def place(db, order, case):
    """Inserts both rows or neither. If the order already exists, nothing is written."""
    message = {"caseId": case, "message": f"Order {order} has shipped."}
    try:
        with db, db.cursor() as cursor:  # one transaction: committed at its end, rolled back by an error
            # The same key twice is one message.
            cursor.execute(
                "INSERT INTO outbox (channel, payload, idempotency_key, source)"
                " VALUES ('chat', %s, %s, 'shop') ON CONFLICT DO NOTHING",
                (Json(message), key(order)))
            cursor.execute("INSERT INTO orders (id, case_id) VALUES (%s, %s)", (order, case))
    except psycopg2.IntegrityError as error:
        print(f"order {order}: nothing was written: {error}", file=sys.stderr)  # the message was rolled back too


def cancel(db, order):
    """Cancels the order while its message is waiting. False: it is no longer waiting, and the order stays."""
    with db, db.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = %s AND status = 'pending'",
            (key(order),))
        if cursor.rowcount == 0:
            return False
        cursor.execute("DELETE FROM orders WHERE id = %s", (order,))
        return True


def outcome(db, order, limit=30.0):
    """(status, message_id, error) of the order's message once it has ended; None if there is none."""
    end = time.monotonic() + limit
    while True:
        with db.cursor() as cursor:
            cursor.execute(
                "SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = %s",
                (key(order),))
            row = cursor.fetchone()
        if row is None or row[0] not in ("pending", "sending") or time.monotonic() > end:
            return row
        time.sleep(0.1)


def key(order):
    return f"order-{order}-shipped"


def main():
    url, order, case = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    db = psycopg2.connect(url)
    db.autocommit = True  # waiting for the outcome leaves no transaction open
    if case == "cancel":
        cancelled = cancel(db, order)
        print(f"order {order}: cancelled" if cancelled else f"order {order}: no message is waiting")
        return 0 if cancelled else 1
    place(db, order, int(case))
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
