// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
//
//     node order.js DATABASE ORDER_ID CASE_ID
'use strict';
const Database = require('better-sqlite3');
const { setTimeout: sleep } = require('node:timers/promises');

const key = (order) => `order-${order}-shipped`;

/** Inserts both rows or neither. If the order already exists, nothing is written. */
function place(db, order, caseId) {
  // The same key twice is one message.
  const message = db.prepare(`
    INSERT INTO outbox (channel, payload, idempotency_key, source)
    VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING`);
  const row = db.prepare('INSERT INTO orders (id, case_id) VALUES (?, ?)');
  const both = db.transaction(() => {
    message.run(JSON.stringify({ caseId, message: `Order ${order} has shipped.` }), key(order));
    row.run(order, caseId);
  });
  try {
    both.immediate(); // takes the write lock now, so that no other writer can get it halfway
  } catch (error) {
    // Rolled back, and the message with it.
    if (!error.code?.startsWith('SQLITE_CONSTRAINT')) throw error;
    console.error(`order ${order}: nothing was written: ${error.message}`);
  }
}

/** The row of the order's message once it has ended; undefined if there is none. */
async function outcome(db, order, limit = 30_000) {
  const ask = db.prepare(
    'SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?');
  const end = performance.now() + limit;
  for (;;) {
    const row = ask.get(key(order));
    const ended = row === undefined || !['pending', 'sending'].includes(row.status);
    if (ended || performance.now() > end) return row;
    await sleep(100);
  }
}

async function main([path, orderText, caseText]) {
  const [order, caseId] = [Number.parseInt(orderText, 10), Number.parseInt(caseText, 10)];
  // The timeout is SQLite's busy timeout: wait for another writer instead of failing.
  const db = new Database(path, { fileMustExist: true, timeout: 5000 });
  db.pragma('foreign_keys = ON');
  db.exec('CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)');
  place(db, order, caseId);
  const row = await outcome(db, order);
  if (row === undefined) {
    console.log(`order ${order}: no message`);
  } else if (row.status === 'sent') {
    console.log(`order ${order}: sent, message ${row.message_id}`);
    return;
  } else {
    console.log(`order ${order}: ${row.status}: ${row.error}`);
  }
  process.exitCode = 1;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
