#!/usr/bin/env ruby
# A small shop: places an order and queues its message in one transaction, then waits for its delivery.
# Or cancels an order together with its message, while the message is still waiting.
#
#     ruby order.rb DATABASE ORDER_ID CASE_ID
#     ruby order.rb DATABASE ORDER_ID cancel
require 'json'
require 'pg'

def key(order) = "order-#{order}-shipped"

# Inserts both rows or neither. If the order already exists, nothing is written.
def place(db, order, case_id)
  payload = { caseId: case_id, message: "Order #{order} has shipped." }
  db.transaction do
    # The same key twice is one message.
    db.exec_params(<<~SQL, [payload.to_json, key(order)])
      INSERT INTO outbox (channel, payload, idempotency_key, source)
      VALUES ('chat', $1, $2, 'shop') ON CONFLICT DO NOTHING
    SQL
    db.exec_params('INSERT INTO orders (id, case_id) VALUES ($1, $2)', [order, case_id])
  end
rescue PG::IntegrityConstraintViolation => e
  # Rolled back, and the message with it.
  warn "order #{order}: nothing was written: #{e.message}"
end

# Cancels the order while its message is waiting. False: it is no longer waiting, and the order stays.
def cancel(db, order)
  db.transaction do
    waited = db.exec_params(<<~SQL, [key(order)]).cmd_tuples == 1
      UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = $1 AND status = 'pending'
    SQL
    db.exec_params('DELETE FROM orders WHERE id = $1', [order]) if waited
    waited
  end
end

# The status of the order's message once it has ended, with its id and its error; nil if there is none.
def outcome(db, order, limit: 30)
  finish = now + limit
  loop do
    row = db.exec_params(
      'SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = $1', [key(order)]).values.first
    return row if row.nil? || !%w[pending sending].include?(row[0]) || now > finish

    sleep 0.1
  end
end

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

url, order, case_id = ARGV
order = Integer(order, 10)
db = PG.connect(url)
if case_id == 'cancel'
  cancelled = cancel(db, order)
  puts "order #{order}: #{cancelled ? 'cancelled' : 'no message is waiting'}"
  exit(cancelled)
end
place(db, order, Integer(case_id, 10))
status, message_id, error = outcome(db, order)
case status
when nil then puts "order #{order}: no message"
when 'sent' then puts "order #{order}: sent, message #{message_id}"
else puts "order #{order}: #{status}: #{error}"
end
exit(status == 'sent')
