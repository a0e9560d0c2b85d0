#!/usr/bin/env perl
# A small shop: places an order and queues its message in one transaction, then waits for its delivery.
#
#     perl order.pl DATABASE ORDER_ID CASE_ID
use strict;
use warnings;
use DBI;
use JSON::PP;
use Time::HiRes qw(sleep time);

sub key { return "order-$_[0]-shipped" }

# Inserts both rows or neither. If the order already exists, nothing is written.
sub place {
    my ($db, $order, $case) = @_;
    my $payload = encode_json({ caseId => 0 + $case, message => "Order $order has shipped." });
    # BEGIN IMMEDIATE, as this driver does it: no other writer can get the write lock halfway.
    $db->begin_work;
    my $done = eval {
        # The same key twice is one message.
        $db->do(q{INSERT INTO outbox (channel, payload, idempotency_key, source)
                  VALUES ('chat', ?, ?, 'shop') ON CONFLICT DO NOTHING}, undef, $payload, key($order));
        $db->do('INSERT INTO orders (id, case_id) VALUES (?, ?)', undef, $order, $case);
        $db->commit;
        1;
    };
    return if $done;
    my ($code, $error) = ($db->err // 0, $@);
    $db->rollback;    # the message is rolled back too
    die $error if ($code & 0xff) != 19;    # SQLITE_CONSTRAINT
    chomp $error;
    print STDERR "order $order: nothing was written: $error\n";
    return;
}

# The status of the order's message once it has ended, its id and its error; nothing if there is none.
sub outcome {
    my ($db, $order, $limit) = @_;
    my $end = time + $limit;
    while (1) {
        my @row = $db->selectrow_array(
            'SELECT status, message_id, error FROM delivery_status WHERE idempotency_key = ?',
            undef, key($order));
        return @row if !@row || $row[0] !~ /^(?:pending|sending)$/ || time > $end;
        sleep 0.1;
    }
}

my ($path, $order, $case) = @ARGV;
my $db = DBI->connect("dbi:SQLite:dbname=$path", '', '', { RaiseError => 1, PrintError => 0 });
$db->sqlite_busy_timeout(5000);    # wait for another writer instead of failing
$db->do('PRAGMA foreign_keys = ON');
$db->do('CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, case_id INTEGER NOT NULL)');
place($db, $order, $case);
my ($status, $message_id, $error) = outcome($db, $order, 30);
if (!defined $status) {
    print "order $order: no message\n";
} elsif ($status eq 'sent') {
    print "order $order: sent, message $message_id\n";
} else {
    print "order $order: $status: ", $error // '', "\n";
}
exit(defined $status && $status eq 'sent' ? 0 : 1);
