<?php
// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
//
//     php order.php DATABASE ORDER_ID CASE_ID
declare(strict_types=1);

function key_of(int $order): string
{
    return "order-$order-shipped";
}

/** Inserts both rows or neither. If the order already exists, nothing is written. */
function place(PDO $db, int $order, int $case): void
{
    $payload = ['caseId' => $case, 'message' => "Order $order has shipped."];
    // Not beginTransaction(): this takes the write lock now, so that no other writer can get it halfway.
    $db->exec('BEGIN IMMEDIATE');
    try {
        // The same key twice is one message.
        $db->prepare("INSERT INTO outbox (channel, payload, idempotency_key, source)
                      VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING")
            ->execute([json_encode($payload, JSON_THROW_ON_ERROR), key_of($order)]);
        $row = $db->prepare('INSERT INTO orders (id, case_id) VALUES (?, ?)');
        $row->bindValue(1, $order, PDO::PARAM_INT);
        $row->bindValue(2, $case, PDO::PARAM_INT);
        $row->execute();
        $db->exec('COMMIT');
    } catch (PDOException $error) {
        $db->exec('ROLLBACK'); // the message is rolled back too
        if ($error->getCode() !== '23000') {
            throw $error;
        }
        fwrite(STDERR, "order $order: nothing was written: {$error->getMessage()}\n");
    }
}

/** The row of the order's message once it has ended; null if there is none. */
function outcome(PDO $db, int $order, float $limit = 30.0): ?array
{
    $ask = $db->prepare('SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?');
    $end = microtime(true) + $limit;
    while (true) {
        $ask->execute([key_of($order)]);
        $row = $ask->fetch(PDO::FETCH_ASSOC) ?: null;
        $ask->closeCursor();
        $ended = $row === null || !in_array($row['status'], ['pending', 'sending'], true);
        if ($ended || microtime(true) > $end) {
            return $row;
        }
        usleep(100_000);
    }
}

[, $path, $order, $case] = $argv;
[$order, $case] = [(int) $order, (int) $case];
$db = new PDO("sqlite:$path", options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$db->exec('PRAGMA busy_timeout = 5000'); // wait for another writer instead of failing
$db->exec('PRAGMA foreign_keys = ON');
$db->exec('CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)');
place($db, $order, $case);
$row = outcome($db, $order);
if ($row === null) {
    echo "order $order: no message\n";
} elseif ($row['status'] === 'sent') {
    echo "order $order: sent, message {$row['message_id']}\n";
} else {
    echo "order $order: {$row['status']}: {$row['error']}\n";
}
exit($row !== null && $row['status'] === 'sent' ? 0 : 1);
