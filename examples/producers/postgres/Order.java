// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
// Or cancels an order together with its message, while the message is still waiting.
//
//     java -cp postgresql.jar Order.java DATABASE ORDER_ID CASE_ID
//     java -cp postgresql.jar Order.java DATABASE ORDER_ID cancel
//
// DATABASE is JDBC's: 'jdbc:postgresql://db.example/shop?user=shop_app'.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;

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
        // The same key twice is one message. SQL makes the JSON, so that no library is needed for it.
        String outbox = """
            INSERT INTO outbox (channel, payload, idempotency_key, source)
            VALUES ('chat', jsonb_build_object('caseId', ?, 'message', ?), ?, 'shop') ON CONFLICT DO NOTHING""";
        db.setAutoCommit(false);
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
            if (error.getSQLState() == null || !error.getSQLState().startsWith("23")) { // a constraint
                throw error;
            }
            System.err.println("order " + order + ": nothing was written: " + error.getMessage());
        } finally {
            db.setAutoCommit(true);
        }
    }

    /** Cancels the order while its message is waiting. False: it is no longer waiting, and the order stays. */
    static boolean cancel(Connection db, long order) throws SQLException {
        String outbox = "UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = ? AND status = 'pending'";
        db.setAutoCommit(false);
        try (PreparedStatement message = db.prepareStatement(outbox);
                PreparedStatement row = db.prepareStatement("DELETE FROM orders WHERE id = ?")) {
            message.setString(1, key(order));
            boolean waited = message.executeUpdate() == 1;
            if (waited) {
                row.setLong(1, order);
                row.executeUpdate();
            }
            db.commit();
            return waited;
        } catch (SQLException error) {
            db.rollback();
            throw error;
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

    /** True: the message was sent, or the order was cancelled. */
    static boolean run(Connection db, long order, String caseText) throws Exception {
        if (caseText.equals("cancel")) {
            boolean cancelled = cancel(db, order);
            System.out.println("order " + order + (cancelled ? ": cancelled" : ": no message is waiting"));
            return cancelled;
        }
        place(db, order, Long.parseLong(caseText));
        Outcome outcome = outcome(db, order, 30_000);
        if (outcome == null) {
            System.out.println("order " + order + ": no message");
        } else if (outcome.status().equals("sent")) {
            System.out.println("order " + order + ": sent, message " + outcome.messageId());
            return true;
        } else {
            System.out.println("order " + order + ": " + outcome.status() + ": " + outcome.error());
        }
        return false;
    }

    public static void main(String[] args) throws Exception {
        boolean done;
        try (Connection db = DriverManager.getConnection(args[0])) {
            done = run(db, Long.parseLong(args[1]), args[2]);
        }
        System.exit(done ? 0 : 1);
    }
}
