#!/usr/bin/env ruby
# A small shop: places an order and queues its message in one transaction, then waits for its delivery.
#
#     ruby order.rb DATABASE ORDER_ID CASE_ID
require 'json'
require 'sqlite3'

def key(order) = "order-#{order}-shipped"

# Inserts both rows or neither. If the order already exists, nothing is written.
def place(db, order, case_id)
  payload = { caseId: case_id, message: "Order #{order} has shipped." }
  # Immediate: takes the write lock now, so that no other writer can get it halfway.
  db.transaction(:immediate) do
    # The same key twice is one message.
    db.execute(<<~SQL, [payload.to_json, key(order)])
      INSERT INTO outbox (channel, payload, idempotency_key, source)
      VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING
    SQL
    db.execute('INSERT INTO orders (id, case_id) VALUES (?, ?)', [order, case_id])
  end
rescue SQLite3::ConstraintException => e
  # Rolled back, and the message with it.
  warn "order #{order}: nothing was written: #{e.message}"
end

# The status of the order's message once it has ended, with its id and its error; nil if there is none.
def outcome(db, order, limit: 30)
  finish = now + limit
  loop do
    row = db.get_first_row(
      'SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?', [key(order)])
    return row if row.nil? || !%w[pending sending].include?(row[0]) || now > finish

    sleep 0.1
  end
end

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

path, order, case_id = ARGV
order = Integer(order, 10)
db = SQLite3::Database.new(path)
db.busy_timeout = 5000 # wait for another writer instead of failing
db.execute('PRAGMA foreign_keys = ON')
db.execute('CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)')
place(db, order, Integer(case_id, 10))
status, message_id, error = outcome(db, order)
case status
when nil then puts "order #{order}: no message"
when 'sent' then puts "order #{order}: sent, message #{message_id}"
else puts "order #{order}: #{status}: #{error}"
end
exit(status == 'sent')
