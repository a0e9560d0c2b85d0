<?php
// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
// Or cancels an order together with its message, while the message is still waiting.
//
//     php order.php DATABASE ORDER_ID CASE_ID
//     php order.php DATABASE ORDER_ID cancel
//
// DATABASE is PDO's: 'pgsql:host=db.example;dbname=shop;user=shop_app'.
declare(strict_types=1);

function key_of(int $order): string
{
    return "order-$order-shipped";
}

/** Inserts both rows or neither. If the order already exists, nothing is written. */
function place(PDO $db, int $order, int $case): void
{
    $payload = ['caseId' => $case, 'message' => "Order $order has shipped."];
    $db->beginTransaction();
    try {
        // The same key twice is one message.
        $db->prepare("INSERT INTO outbox (channel, payload, idempotency_key, source)
                      VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING")
            ->execute([json_encode($payload, JSON_THROW_ON_ERROR), key_of($order)]);
        $db->prepare('INSERT INTO orders (id, case_id) VALUES (?, ?)')->execute([$order, $case]);
        $db->commit();
    } catch (PDOException $error) {
        $db->rollBack(); // the message is rolled back too
        if (!str_starts_with((string) $error->getCode(), '23')) { // a constraint
            throw $error;
        }
        fwrite(STDERR, "order $order: nothing was written: {$error->getMessage()}\n");
    }
}

/** Cancels the order while its message is waiting. False: it is no longer waiting, and the order stays. */
function cancel(PDO $db, int $order): bool
{
    $db->beginTransaction();
    $message = $db->prepare(
        "UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = ? AND status = 'pending'");
    $message->execute([key_of($order)]);
    $waited = $message->rowCount() === 1;
    if ($waited) {
        $db->prepare('DELETE FROM orders WHERE id = ?')->execute([$order]);
    }
    $db->commit(); // an error before this ends the connection, which rolls back
    return $waited;
}

/** The row of the order's message once it has ended; null if there is none. */
function outcome(PDO $db, int $order, float $limit = 30.0): ?array
{
    $ask = $db->prepare('SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?');
    $end = microtime(true) + $limit;
    while (true) {
        $ask->execute([key_of($order)]);
        $row = $ask->fetch(PDO::FETCH_ASSOC) ?: null;
        $ended = $row === null || !in_array($row['status'], ['pending', 'sending'], true);
        if ($ended || microtime(true) > $end) {
            return $row;
        }
        usleep(100_000);
    }
}

[, $dsn, $order, $case] = $argv;
$order = (int) $order;
$db = new PDO($dsn, options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
if ($case === 'cancel') {
    $cancelled = cancel($db, $order);
    echo "order $order: ", $cancelled ? 'cancelled' : 'no message is waiting', "\n";
    exit($cancelled ? 0 : 1);
}
place($db, $order, (int) $case);
$row = outcome($db, $order);
if ($row === null) {
    echo "order $order: no message\n";
} elseif ($row['status'] === 'sent') {
    echo "order $order: sent, message {$row['message_id']}\n";
} else {
    echo "order $order: {$row['status']}: {$row['error']}\n";
}
exit($row !== null && $row['status'] === 'sent' ? 0 : 1);
