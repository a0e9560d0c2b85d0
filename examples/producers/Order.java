// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
//
//     java -cp sqlite-jdbc.jar Order.java DATABASE ORDER_ID CASE_ID

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class Order {
    record Outcome(String status, String messageId, String error) {
        boolean waits() {
            return status.equals("pending") || status.equals("sending");
        }
    }

    static String key(long order) {
        return "order-" + order + "-shipped";
    }

    /** Inserts both rows or neither. If the order already exists, nothing is written. */
    static void place(Connection db, long order, long caseId) throws SQLException {
        db.setAutoCommit(false); // BEGIN IMMEDIATE, by transaction_mode
        // The same key twice is one message. SQL makes the JSON, so that no library is needed for it.
        String outbox = """
            INSERT INTO outbox (channel, payload, idempotency_key, source)
            VALUES ('chat', json_object('caseId', ?, 'message', ?), ?, 'shop') ON CONFLICT DO NOTHING""";
        try (PreparedStatement message = db.prepareStatement(outbox);
                PreparedStatement row = db.prepareStatement("INSERT INTO orders (id, case_id) VALUES (?, ?)")) {
            message.setLong(1, caseId);
            message.setString(2, "Order " + order + " has shipped.");
            message.setString(3, key(order));
            message.executeUpdate();
            row.setLong(1, order);
            row.setLong(2, caseId);
            row.executeUpdate();
            db.commit();
        } catch (SQLException error) {
            db.rollback(); // the message is rolled back too
            if ((error.getErrorCode() & 0xff) != 19) { // SQLITE_CONSTRAINT
                throw error;
            }
            System.err.println("order " + order + ": nothing was written: " + error.getMessage());
        } finally {
            db.setAutoCommit(true);
        }
    }

    /** The outcome of the order's message once it has ended; null if there is none. */
    static Outcome outcome(Connection db, long order, long limitMs) throws SQLException, InterruptedException {
        String sql = "SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?";
        long end = System.nanoTime() + limitMs * 1_000_000;
        while (true) {
            Outcome outcome = null;
            try (PreparedStatement ask = db.prepareStatement(sql)) {
                ask.setString(1, key(order));
                try (ResultSet row = ask.executeQuery()) {
                    if (row.next()) {
                        outcome = new Outcome(row.getString(1), row.getString(2), row.getString(3));
                    }
                }
            }
            if (outcome == null || !outcome.waits() || System.nanoTime() > end) {
                return outcome;
            }
            Thread.sleep(100);
        }
    }

    public static void main(String[] args) throws Exception {
        long order = Long.parseLong(args[1]);
        Properties settings = new Properties();
        settings.setProperty("busy_timeout", "5000"); // wait for another writer instead of failing
        settings.setProperty("transaction_mode", "IMMEDIATE"); // no other writer can get the write lock halfway
        settings.setProperty("foreign_keys", "true");
        try (Connection db = DriverManager.getConnection("jdbc:sqlite:" + args[0], settings)) {
            db.createStatement().execute(
                "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)");
            place(db, order, Long.parseLong(args[2]));
            Outcome outcome = outcome(db, order, 30_000);
            if (outcome == null) {
                System.out.println("order " + order + ": no message");
            } else if (outcome.status().equals("sent")) {
                System.out.println("order " + order + ": sent, message " + outcome.messageId());
                return;
            } else {
                System.out.println("order " + order + ": " + outcome.status() + ": " + outcome.error());
            }
        }
        System.exit(1);
    }
}
