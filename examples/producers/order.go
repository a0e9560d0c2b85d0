// A small shop: places an order and queues its message in one transaction, then waits for its delivery.
//
//	go run order.go DATABASE ORDER_ID CASE_ID
package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"strconv"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
)

func key(order int64) string { return fmt.Sprintf("order-%d-shipped", order) }

// place inserts both rows, or neither if the order already exists.
func place(db *sql.DB, order, caseID int64) error {
	payload, err := json.Marshal(map[string]any{
		"caseId": caseID, "message": fmt.Sprintf("Order %d has shipped.", order)})
	if err != nil {
		return err
	}
	tx, err := db.Begin() // BEGIN IMMEDIATE, by _txlock
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	// The same key twice is one message.
	if _, err := tx.Exec(`INSERT INTO outbox (channel, payload, idempotency_key, source)
		VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING`, string(payload), key(order)); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO orders (id, case_id) VALUES (?, ?)", order, caseID); err != nil {
		return err // the message is rolled back too
	}
	return tx.Commit()
}

// outcome gives the status of the order's message once it has ended, and its id or its error.
func outcome(db *sql.DB, order int64, limit time.Duration) (status string, messageID, failure sql.NullString, err error) {
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err = db.QueryRow("SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?",
			key(order)).Scan(&status, &messageID, &failure)
		waits := status == "pending" || status == "sending"
		if err != nil || !waits || time.Now().After(end) {
			return
		}
	}
}

func run(path string, order, caseID int64) (bool, error) {
	// _busy_timeout: wait for another writer instead of failing. _txlock: take the write lock at BEGIN, so
	// that no other writer can get it halfway.
	name := url.URL{Scheme: "file", Opaque: url.PathEscape(path),
		RawQuery: "mode=rw&_busy_timeout=5000&_txlock=immediate&_foreign_keys=1"}
	db, err := sql.Open("sqlite3", name.String())
	if err != nil {
		return false, err
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS orders
		(id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)`); err != nil {
		return false, err
	}
	err = place(db, order, caseID)
	var refused sqlite3.Error
	if errors.As(err, &refused) && refused.Code == sqlite3.ErrConstraint {
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
		log.Fatal("usage: order DATABASE ORDER_ID CASE_ID")
	}
	order, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	caseID, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	sent, err := run(os.Args[1], order, caseID)
	if err != nil {
		log.Fatal(err)
	}
	if !sent {
		os.Exit(1)
	}
}
