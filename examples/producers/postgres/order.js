// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
// Or cancels an order together with its message, while the message is still waiting.
//
//     node order.js DATABASE ORDER_ID CASE_ID
//     node order.js DATABASE ORDER_ID cancel
'use strict';
const { Client } = require('pg');
const { setTimeout: sleep } = require('node:timers/promises');

const key = (order) => `order-${order}-shipped`;

/** Runs the work in one transaction, on this one connection; with a pool, take a client from it. */
async function transaction(db, work) {
  await db.query('BEGIN');
  try {
    const value = await work();
    await db.query('COMMIT');
    return value;
  } catch (error) {
    await db.query('ROLLBACK');
    throw error;
  }
}

/** Inserts both rows or neither. If the order already exists, nothing is written. */
async function place(db, order, caseId) {
  const payload = JSON.stringify({ caseId, message: `Order ${order} has shipped.` });
  try {
    await transaction(db, async () => {
      // The same key twice is one message.
      await db.query(
        `INSERT INTO outbox (channel, payload, idempotency_key, source)
         VALUES ('chat', $1, $2, 'shop') ON CONFLICT DO NOTHING`, [payload, key(order)]);
      await db.query('INSERT INTO orders (id, case_id) VALUES ($1, $2)', [order, caseId]);
    });
  } catch (error) {
    // Rolled back, and the message with it. Class 23: a constraint.
    if (!error.code?.startsWith('23')) throw error;
    console.error(`order ${order}: nothing was written: ${error.message}`);
  }
}

/** Cancels the order while its message is waiting. False: it is no longer waiting, and the order stays. */
function cancel(db, order) {
  return transaction(db, async () => {
    const { rowCount } = await db.query(
      "UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = $1 AND status = 'pending'",
      [key(order)]);
    if (rowCount === 0) return false;
    await db.query('DELETE FROM orders WHERE id = $1', [order]);
    return true;
  });
}

/** The row of the order's message once it has ended; undefined if there is none. */
async function outcome(db, order, limit = 30_000) {
  const end = performance.now() + limit;
  for (;;) {
    const { rows: [row] } = await db.query(
      'SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = $1',
      [key(order)]);
    const ended = row === undefined || !['pending', 'sending'].includes(row.status);
    if (ended || performance.now() > end) return row;
    await sleep(100);
  }
}

/** True: the message was sent, or the order was cancelled. */
async function run(db, order, caseText) {
  if (caseText === 'cancel') {
    const cancelled = await cancel(db, order);
    console.log(`order ${order}: ${cancelled ? 'cancelled' : 'no message is waiting'}`);
    return cancelled;
  }
  await place(db, order, Number.parseInt(caseText, 10));
  const row = await outcome(db, order);
  if (row === undefined) {
    console.log(`order ${order}: no message`);
  } else if (row.status === 'sent') {
    console.log(`order ${order}: sent, message ${row.message_id}`);
    return true;
  } else {
    console.log(`order ${order}: ${row.status}: ${row.error}`);
  }
  return false;
}

async function main([connectionString, orderText, caseText]) {
  const db = new Client({ connectionString });
  await db.connect();
  try {
    process.exitCode = (await run(db, Number.parseInt(orderText, 10), caseText)) ? 0 : 1;
  } finally {
    await db.end();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
