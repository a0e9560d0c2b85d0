// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
// Or cancels an order together with its message, while the message is still waiting.
//
//	go run order.go DATABASE ORDER_ID CASE_ID
//	go run order.go DATABASE ORDER_ID cancel
package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/lib/pq"
)

func key(order int64) string { return fmt.Sprintf("order-%d-shipped", order) }

// place inserts both rows, or neither if the order already exists.
func place(db *sql.DB, order, caseID int64) error {
	payload, err := json.Marshal(map[string]any{
		"caseId": caseID, "message": fmt.Sprintf("Order %d has shipped.", order)})
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	// The same key twice is one message.
	if _, err := tx.Exec(`INSERT INTO outbox (channel, payload, idempotency_key, source)
		VALUES ('chat', $1, $2, 'shop') ON CONFLICT DO NOTHING`, string(payload), key(order)); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO orders (id, case_id) VALUES ($1, $2)", order, caseID); err != nil {
		return err // the message is rolled back too
	}
	return tx.Commit()
}

// cancel cancels the order while its message is waiting. False: it is no longer waiting, and the order stays.
func cancel(db *sql.DB, order int64) (bool, error) {
	tx, err := db.Begin()
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	updated, err := tx.Exec(`UPDATE outbox SET status = 'cancelled'
		WHERE idempotency_key = $1 AND status = 'pending'`, key(order))
	if err != nil {
		return false, err
	}
	if waited, err := updated.RowsAffected(); err != nil || waited == 0 {
		return false, err
	}
	if _, err := tx.Exec("DELETE FROM orders WHERE id = $1", order); err != nil {
		return false, err
	}
	return true, tx.Commit()
}

// outcome gives the status of the order's message once it has ended, and its id or its error.
func outcome(db *sql.DB, order int64, limit time.Duration) (status string, messageID, failure sql.NullString, err error) {
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err = db.QueryRow("SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = $1",
			key(order)).Scan(&status, &messageID, &failure)
		waits := status == "pending" || status == "sending"
		if err != nil || !waits || time.Now().After(end) {
			return
		}
	}
}

// takeBack is true if the order was cancelled.
func takeBack(db *sql.DB, order int64) (bool, error) {
	cancelled, err := cancel(db, order)
	switch {
	case err != nil:
	case cancelled:
		fmt.Printf("order %d: cancelled\n", order)
	default:
		fmt.Printf("order %d: no message is waiting\n", order)
	}
	return cancelled, err
}

// sell is true if the order's message was sent.
func sell(db *sql.DB, order, caseID int64) (bool, error) {
	err := place(db, order, caseID)
	var refused *pq.Error
	if errors.As(err, &refused) && refused.Code.Class() == "23" { // a constraint
		fmt.Fprintf(os.Stderr, "order %d: nothing was written: %v\n", order, err)
	} else if err != nil {
		return false, err
	}
	status, messageID, failure, err := outcome(db, order, 30*time.Second)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		fmt.Printf("order %d: no message\n", order)
	case err != nil:
		return false, err
	case status == "sent":
		fmt.Printf("order %d: sent, message %s\n", order, messageID.String)
		return true, nil
	default:
		fmt.Printf("order %d: %s: %s\n", order, status, failure.String)
	}
	return false, nil
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: order DATABASE ORDER_ID CASE_ID|cancel")
	}
	order, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("postgres", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var done bool
	if os.Args[3] == "cancel" {
		done, err = takeBack(db, order)
	} else if caseID, wrong := strconv.ParseInt(os.Args[3], 10, 64); wrong != nil {
		err = wrong
	} else {
		done, err = sell(db, order, caseID)
	}
	if err != nil {
		log.Fatal(err)
	}
	if !done {
		os.Exit(1)
	}
}
