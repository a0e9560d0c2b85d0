# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_acquire_outbox_global_optspecs
    string join \n config= database= schema= h/help V/version
end

function __fish_acquire_outbox_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_acquire_outbox_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_acquire_outbox_using_subcommand
    set -l cmd (__fish_acquire_outbox_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -s V -l version -d 'Print version'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "init" -d 'Create the database, add the outbox to an application\'s database, or migrate it'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "run" -d 'Run the daemon: claim, send, record'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "send" -d 'Insert one job'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "status" -d 'Show counts by channel and state, ages, rates, and what holds jobs back'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "nodes" -d 'List the dispatchers that work on the outbox, with their leases'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "list" -d 'List jobs, newest first'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "find" -d 'Find jobs by case, contact, phone number, email address, message id, key or source'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "show" -d 'Show one job, its history, and why it waits'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "retry" -d 'Send failed, cancelled or uncertain jobs again, with a fresh budget'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "cancel" -d 'Withdraw pending jobs'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "resolve" -d 'Resolve uncertain jobs, once you know whether they were delivered'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "import" -d 'Insert jobs from CSV or JSON lines'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "export" -d 'Write jobs and their outcomes as CSV or JSON lines'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "pause" -d 'Pause a channel, an account or everything, until it is resumed'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "resume" -d 'End a pause'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "pauses" -d 'List what is paused, since when and why'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "prune" -d 'Delete finished jobs: by the retention settings, by id or by filter'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "grants" -d 'Print the SQL that grants PostgreSQL roles the rights that they need'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "move" -d 'Move an outbox from a file to PostgreSQL, or back, with its ids and history'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "check" -d 'Check the configuration, the database and the accounts, without sending'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "lookup" -d 'Look up a contact\'s cases at Acquire, with the ids that a message needs'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "probe" -d 'Show what Acquire returns for a case, to see whether messages can be verified'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "sandbox" -d 'Run a stand-in for Acquire on this machine, to try things out'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "demo" -d 'See everything work, in a temporary folder'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "settings" -d 'List every setting of the configuration, with its range and default'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "completions" -d 'Print the completion script for a shell'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "man" -d 'Write the manual pages to a folder'
complete -c acquire-outbox -n "__fish_acquire_outbox_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand init" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand init" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand init" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand init" -l sandbox -d 'Create an outbox for the sandbox: its messages are never delivered'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand init" -l dry-run -d 'Change nothing; print the SQL that creates the outbox or brings it up to date'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand init" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l listen -d 'Serve the dashboard on this IP:PORT [env: ACQUIRE_OUTBOX_LISTEN] [default: none]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l until-empty -d 'Exit with 0 once nothing is due, being sent or in backoff, and print a summary; scheduled and paused jobs are only counted'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l sandbox -d 'Send to a built-in stand-in for Acquire, whatever accounts are configured; needs an outbox made by `init --sandbox`, and creates outbox.db if no database is named'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -l init -d 'Create the outbox first if there is none, as `init` does'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand run" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -f -a "chat" -d 'A chat message to a case'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -f -a "mail" -d 'An email in a case'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -f -a "sms" -d 'A text message'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and not __fish_seen_subcommand_from chat mail sms help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l case-id -d 'The case to write to' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l message -d 'The text' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l type -d 'message (Acquire\'s default), note or event' -r -f -a "message\t''
note\t''
event\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l translate-lang-key -d 'The ISO code of the language to translate into' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l user-type -d 'Who writes: user (an agent, the default) or contact (the customer)' -r -f -a "user\t''
contact\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l contact-id -d 'The contact; needed with --user-type contact' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l extra -d 'More fields for the request\'s body, a JSON object' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l json -d 'The whole payload as one JSON object, or - to read it from standard input' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l account -d 'The configured account that sends it' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l idempotency-key -d 'Your own id for the message: jobs with the same key are sent once' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l ordering-key -d 'Jobs with the same key are sent in order [default: the case]; \'\' for no order' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l priority -d '0 to 9, higher first' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l send-at -d 'Do not send before this time: +10m, or \'2026-11-22T09:00:00+02:00\'; UTC if it has no offset' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l expires-at -d 'Do not send after this time, written like --send-at; the job then fails as expired' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l max-attempts -d 'Attempts before it fails, instead of the configured number' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l source -d 'Your own label, for filters and metrics' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l timeout -d 'How long to wait' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -l wait -d 'Wait for the outcome; exit status 0 only if it was sent'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from chat" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l case-id -d 'The case to write to' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l contact-id -d 'The contact' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l from -d 'The sender: an inbox that is connected to Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l to -d 'A recipient; may be repeated' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l cc -d 'A recipient of a copy; may be repeated' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l bcc -d 'A recipient of a blind copy; may be repeated' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l subject -d 'The subject' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l html-body -d 'The text as HTML' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l text-body -d 'The text as plain text; in place of --html-body, or in addition to it' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l attachments -d 'Attachments in Acquire\'s format: a JSON array of objects' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l type -d 'message, the default' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l extra -d 'More fields for the request\'s body, a JSON object' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l json -d 'The whole payload as one JSON object, or - to read it from standard input' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l account -d 'The configured account that sends it' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l idempotency-key -d 'Your own id for the message: jobs with the same key are sent once' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l ordering-key -d 'Jobs with the same key are sent in order [default: the case]; \'\' for no order' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l priority -d '0 to 9, higher first' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l send-at -d 'Do not send before this time: +10m, or \'2026-11-22T09:00:00+02:00\'; UTC if it has no offset' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l expires-at -d 'Do not send after this time, written like --send-at; the job then fails as expired' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l max-attempts -d 'Attempts before it fails, instead of the configured number' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l source -d 'Your own label, for filters and metrics' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l timeout -d 'How long to wait' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -l wait -d 'Wait for the outcome; exit status 0 only if it was sent'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from mail" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l from -d 'The sender\'s number with its country code: +12513188609' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l to -d 'The recipient\'s number with its country code' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l body -d 'The text' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l contact-id -d 'The contact' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l thread-id -d 'The thread, which is the case; may be left out if `fill_missing` is set' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l timeline-id -d 'The timeline; may be left out if `fill_missing` is set' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l user-type -d 'Who writes: user (an agent, the default) or contact (the customer)' -r -f -a "user\t''
contact\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l title -d 'A title' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l id -d 'Acquire\'s `id` field [default: the thread]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l is-closed -d 'Acquire\'s `isClosed` field [default: false]' -r -f -a "true\t''
false\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l is-multi-channel -d 'Acquire\'s `isMultiChannel` field [default: false]' -r -f -a "true\t''
false\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l mark-value -d 'The text as HTML [default: from --body]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l msg-type -d 'Acquire\'s `msgType` field [default: message]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l extra -d 'More fields for the request\'s body, a JSON object' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l json -d 'The whole payload as one JSON object, or - to read it from standard input' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l account -d 'The configured account that sends it' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l idempotency-key -d 'Your own id for the message: jobs with the same key are sent once' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l ordering-key -d 'Jobs with the same key are sent in order [default: the case]; \'\' for no order' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l priority -d '0 to 9, higher first' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l send-at -d 'Do not send before this time: +10m, or \'2026-11-22T09:00:00+02:00\'; UTC if it has no offset' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l expires-at -d 'Do not send after this time, written like --send-at; the job then fails as expired' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l max-attempts -d 'Attempts before it fails, instead of the configured number' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l source -d 'Your own label, for filters and metrics' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l timeout -d 'How long to wait' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -l wait -d 'Wait for the outcome; exit status 0 only if it was sent'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from sms" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from help" -f -a "chat" -d 'A chat message to a case'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from help" -f -a "mail" -d 'An email in a case'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from help" -f -a "sms" -d 'A text message'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand send; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l watch -d 'Repeat every SECONDS until Ctrl-C; on a terminal, in place' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l by -d 'Show a row for each account or source instead: sent, failed, waiting, oldest due' -r -f -a "account\t''
source\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l check -d 'Exit with status 3 if no dispatcher works on the outbox'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -l json -d 'One JSON object; with --watch, one per line'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand status" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand nodes" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand nodes" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand nodes" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand nodes" -l all -d 'Also list nodes that have ended, as far back as they are known'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand nodes" -l json -d 'A JSON array'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand nodes" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l status -d 'Only jobs in this state; separate several with commas' -r -f -a "pending\t'Waits to be sent, for the first time or again'
sending\t'Claimed: its request may be in flight'
sent\t'Acquire accepted it'
failed\t'It was not delivered; `failure` says why'
cancelled\t'Withdrawn before it was sent'
uncertain\t'Its request may have reached Acquire, but no answer was read; a person decides'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l waits -d 'Only pending jobs in this situation' -r -f -a "ready\t'Can be sent now, as soon as there is room'
backoff\t'Waits for its next attempt'
scheduled\t'Waits for its send_at'
parked\t'Waits for an earlier job of its ordering key'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l channel -d 'Only jobs of this channel' -r -f -a "chat\t'A message, a note or an event in a case\'s conversation'
mail\t'An email in a case'
sms\t'A text message to a contact\'s phone'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l account -d 'Only jobs of this account' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l source -d 'Only jobs with this source label' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l failure -d 'Only jobs that failed for this reason' -r -f -a "rejected\t'Acquire refused the message'
exhausted\t'Attempts or time used up'
expired\t'`expires_at` passed before it was sent'
invalid\t'The payload breaks the channel\'s rules; no request was made'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l error-code -d 'Only jobs whose last error has this code, like http_503' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l delivery -d 'Only messages that Acquire reports as this; separate several with commas' -r -f -a "delivered\t'It has arrived'
seen\t'It was seen'
bounced\t'An email that was returned'
failed\t'It did not arrive, and was not returned either'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l case -d 'Only jobs of this case at Acquire; for an SMS, its thread' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l contact -d 'Only jobs of this contact at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l to -d 'Only jobs to this phone number or email address' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l message-id -d 'Only the job whose message has this id at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l key -d 'Only the job with this idempotency key' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l error -d 'Only jobs whose last error contains this text (case-insensitive)' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l older-than -d 'Only jobs that were inserted longer ago than this, like 2h or 30d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l newer-than -d 'Only jobs that were inserted within this time, like 30m' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l finished-since -d 'Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l finished-before -d 'Only jobs that finished before then' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l finished -d 'Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l sort -d 'What to sort by, largest first' -r -f -a "id\t''
created\t'When it was inserted'
updated\t'When it was last written'
finished\t'When it finished; unfinished jobs are last'
due\t'When it is due'
attempts\t'How many requests were begun'
channel\t''
account\t''
status\t''
source\t''
error\t'The last error\'s code, then its text'
case\t''
contact\t''"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l page -d 'Which page of --limit jobs, counted from 1' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l limit -d 'At most this many' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l watch -d 'Repeat every SECONDS until Ctrl-C; on a terminal, in place' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l bounced -d 'Only messages that were returned: --delivery bounced'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l ascending -d 'Smallest first'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -l json -d 'A JSON array with the columns of delivery_status; with --watch, one per line'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand find" -l limit -d 'At most this many jobs for each meaning of the text, newest first' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand find" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand find" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand find" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand find" -l json -d 'A JSON array: an object for each meaning of the text, with its jobs as in `list --json`'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand find" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l next-uncertain -d 'Show the next uncertain job after this id (or the first) that waits for a decision'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l curl -d 'Print the job\'s request as a curl command, with the message\'s text but without the API key'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l json -d 'One JSON object: the columns of delivery_status, the receipt, why the job waits, its history and acts'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -l payload -d 'Show the payload too, with the message\'s text'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand show" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l payload -d 'Replace the payload of one failed or cancelled job with the JSON object in this file, or on standard input (-); the earlier payload is kept with the job\'s acts' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l status -d 'Only jobs in this state; separate several with commas' -r -f -a "pending\t'Waits to be sent, for the first time or again'
sending\t'Claimed: its request may be in flight'
sent\t'Acquire accepted it'
failed\t'It was not delivered; `failure` says why'
cancelled\t'Withdrawn before it was sent'
uncertain\t'Its request may have reached Acquire, but no answer was read; a person decides'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l waits -d 'Only pending jobs in this situation' -r -f -a "ready\t'Can be sent now, as soon as there is room'
backoff\t'Waits for its next attempt'
scheduled\t'Waits for its send_at'
parked\t'Waits for an earlier job of its ordering key'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l channel -d 'Only jobs of this channel' -r -f -a "chat\t'A message, a note or an event in a case\'s conversation'
mail\t'An email in a case'
sms\t'A text message to a contact\'s phone'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l account -d 'Only jobs of this account' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l source -d 'Only jobs with this source label' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l failure -d 'Only jobs that failed for this reason' -r -f -a "rejected\t'Acquire refused the message'
exhausted\t'Attempts or time used up'
expired\t'`expires_at` passed before it was sent'
invalid\t'The payload breaks the channel\'s rules; no request was made'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l error-code -d 'Only jobs whose last error has this code, like http_503' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l delivery -d 'Only messages that Acquire reports as this; separate several with commas' -r -f -a "delivered\t'It has arrived'
seen\t'It was seen'
bounced\t'An email that was returned'
failed\t'It did not arrive, and was not returned either'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l case -d 'Only jobs of this case at Acquire; for an SMS, its thread' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l contact -d 'Only jobs of this contact at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l to -d 'Only jobs to this phone number or email address' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l message-id -d 'Only the job whose message has this id at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l key -d 'Only the job with this idempotency key' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l error -d 'Only jobs whose last error contains this text (case-insensitive)' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l older-than -d 'Only jobs that were inserted longer ago than this, like 2h or 30d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l newer-than -d 'Only jobs that were inserted within this time, like 30m' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l finished-since -d 'Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l finished-before -d 'Only jobs that finished before then' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l finished -d 'Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l now -d 'Make pending jobs in backoff due now, instead of retrying finished ones'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l bounced -d 'Only messages that were returned: --delivery bounced'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l all -d 'Every job in a state that this command changes by default'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l dry-run -d 'Change nothing; print how many jobs would be changed, or with --json which ones'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -s y -l yes -d 'Do not ask before a change by filter; the question appears only on a terminal'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -l json -d 'One JSON object: how many jobs were changed, and which were refused'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l status -d 'Only jobs in this state; separate several with commas' -r -f -a "pending\t'Waits to be sent, for the first time or again'
sending\t'Claimed: its request may be in flight'
sent\t'Acquire accepted it'
failed\t'It was not delivered; `failure` says why'
cancelled\t'Withdrawn before it was sent'
uncertain\t'Its request may have reached Acquire, but no answer was read; a person decides'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l waits -d 'Only pending jobs in this situation' -r -f -a "ready\t'Can be sent now, as soon as there is room'
backoff\t'Waits for its next attempt'
scheduled\t'Waits for its send_at'
parked\t'Waits for an earlier job of its ordering key'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l channel -d 'Only jobs of this channel' -r -f -a "chat\t'A message, a note or an event in a case\'s conversation'
mail\t'An email in a case'
sms\t'A text message to a contact\'s phone'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l account -d 'Only jobs of this account' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l source -d 'Only jobs with this source label' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l failure -d 'Only jobs that failed for this reason' -r -f -a "rejected\t'Acquire refused the message'
exhausted\t'Attempts or time used up'
expired\t'`expires_at` passed before it was sent'
invalid\t'The payload breaks the channel\'s rules; no request was made'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l error-code -d 'Only jobs whose last error has this code, like http_503' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l delivery -d 'Only messages that Acquire reports as this; separate several with commas' -r -f -a "delivered\t'It has arrived'
seen\t'It was seen'
bounced\t'An email that was returned'
failed\t'It did not arrive, and was not returned either'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l case -d 'Only jobs of this case at Acquire; for an SMS, its thread' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l contact -d 'Only jobs of this contact at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l to -d 'Only jobs to this phone number or email address' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l message-id -d 'Only the job whose message has this id at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l key -d 'Only the job with this idempotency key' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l error -d 'Only jobs whose last error contains this text (case-insensitive)' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l older-than -d 'Only jobs that were inserted longer ago than this, like 2h or 30d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l newer-than -d 'Only jobs that were inserted within this time, like 30m' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l finished-since -d 'Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l finished-before -d 'Only jobs that finished before then' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l finished -d 'Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l bounced -d 'Only messages that were returned: --delivery bounced'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l all -d 'Every job in a state that this command changes by default'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l dry-run -d 'Change nothing; print how many jobs would be changed, or with --json which ones'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -s y -l yes -d 'Do not ask before a change by filter; the question appears only on a terminal'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -l json -d 'One JSON object: how many jobs were changed, and which were refused'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l status -d 'Only jobs in this state; separate several with commas' -r -f -a "pending\t'Waits to be sent, for the first time or again'
sending\t'Claimed: its request may be in flight'
sent\t'Acquire accepted it'
failed\t'It was not delivered; `failure` says why'
cancelled\t'Withdrawn before it was sent'
uncertain\t'Its request may have reached Acquire, but no answer was read; a person decides'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l waits -d 'Only pending jobs in this situation' -r -f -a "ready\t'Can be sent now, as soon as there is room'
backoff\t'Waits for its next attempt'
scheduled\t'Waits for its send_at'
parked\t'Waits for an earlier job of its ordering key'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l channel -d 'Only jobs of this channel' -r -f -a "chat\t'A message, a note or an event in a case\'s conversation'
mail\t'An email in a case'
sms\t'A text message to a contact\'s phone'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l account -d 'Only jobs of this account' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l source -d 'Only jobs with this source label' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l failure -d 'Only jobs that failed for this reason' -r -f -a "rejected\t'Acquire refused the message'
exhausted\t'Attempts or time used up'
expired\t'`expires_at` passed before it was sent'
invalid\t'The payload breaks the channel\'s rules; no request was made'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l error-code -d 'Only jobs whose last error has this code, like http_503' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l delivery -d 'Only messages that Acquire reports as this; separate several with commas' -r -f -a "delivered\t'It has arrived'
seen\t'It was seen'
bounced\t'An email that was returned'
failed\t'It did not arrive, and was not returned either'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l case -d 'Only jobs of this case at Acquire; for an SMS, its thread' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l contact -d 'Only jobs of this contact at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l to -d 'Only jobs to this phone number or email address' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l message-id -d 'Only the job whose message has this id at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l key -d 'Only the job with this idempotency key' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l error -d 'Only jobs whose last error contains this text (case-insensitive)' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l older-than -d 'Only jobs that were inserted longer ago than this, like 2h or 30d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l newer-than -d 'Only jobs that were inserted within this time, like 30m' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l finished-since -d 'Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l finished-before -d 'Only jobs that finished before then' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l finished -d 'Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l sent -d 'The message was delivered'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l failed -d 'The message was not delivered, and is not sent again'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l verify -d 'Have the dispatcher look for the message at Acquire now'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l bounced -d 'Only messages that were returned: --delivery bounced'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l all -d 'Every job in a state that this command changes by default'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l dry-run -d 'Change nothing; print how many jobs would be changed, or with --json which ones'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -s y -l yes -d 'Do not ask before a change by filter; the question appears only on a terminal'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -l json -d 'One JSON object: how many jobs were changed, and which were refused'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resolve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l format -d 'The format of the file [default: by its extension, .csv, .tsv, .jsonl or .ndjson; jsonl for -]' -r -f -a "csv\t'A header with the columns\' names, then values separated by commas, semicolons or tabs'
jsonl\t'JSON lines: one object per line'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l source -d 'The source label for lines without one' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l account -d 'The account for lines without one' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l dry-run -d 'Check every line and insert nothing'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -l json -d 'One JSON object: how many lines there were, and how many jobs were inserted or existed already'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l status -d 'Only jobs in this state; separate several with commas' -r -f -a "pending\t'Waits to be sent, for the first time or again'
sending\t'Claimed: its request may be in flight'
sent\t'Acquire accepted it'
failed\t'It was not delivered; `failure` says why'
cancelled\t'Withdrawn before it was sent'
uncertain\t'Its request may have reached Acquire, but no answer was read; a person decides'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l waits -d 'Only pending jobs in this situation' -r -f -a "ready\t'Can be sent now, as soon as there is room'
backoff\t'Waits for its next attempt'
scheduled\t'Waits for its send_at'
parked\t'Waits for an earlier job of its ordering key'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l channel -d 'Only jobs of this channel' -r -f -a "chat\t'A message, a note or an event in a case\'s conversation'
mail\t'An email in a case'
sms\t'A text message to a contact\'s phone'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l account -d 'Only jobs of this account' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l source -d 'Only jobs with this source label' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l failure -d 'Only jobs that failed for this reason' -r -f -a "rejected\t'Acquire refused the message'
exhausted\t'Attempts or time used up'
expired\t'`expires_at` passed before it was sent'
invalid\t'The payload breaks the channel\'s rules; no request was made'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l error-code -d 'Only jobs whose last error has this code, like http_503' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l delivery -d 'Only messages that Acquire reports as this; separate several with commas' -r -f -a "delivered\t'It has arrived'
seen\t'It was seen'
bounced\t'An email that was returned'
failed\t'It did not arrive, and was not returned either'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l case -d 'Only jobs of this case at Acquire; for an SMS, its thread' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l contact -d 'Only jobs of this contact at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l to -d 'Only jobs to this phone number or email address' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l message-id -d 'Only the job whose message has this id at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l key -d 'Only the job with this idempotency key' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l error -d 'Only jobs whose last error contains this text (case-insensitive)' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l older-than -d 'Only jobs that were inserted longer ago than this, like 2h or 30d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l newer-than -d 'Only jobs that were inserted within this time, like 30m' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l finished-since -d 'Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l finished-before -d 'Only jobs that finished before then' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l finished -d 'Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l since-id -d 'Only jobs with a larger id, to continue after an earlier export' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l format -d 'The format of the file [default: by the extension of --output, or else jsonl]' -r -f -a "csv\t'A header with the columns\' names, then values separated by commas, semicolons or tabs'
jsonl\t'JSON lines: one object per line'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -s o -l output -d 'Write to this file instead of standard output' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l bounced -d 'Only messages that were returned: --delivery bounced'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -l payload -d 'Include the messages'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l account -d 'The account; without a channel, all its channels' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l reason -d 'Why; shown wherever the program says why nothing is sent' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l for -d 'End the pause automatically after this time, like 30m, 1h or 2d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -l all -d 'Everything'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -l account -d 'The account; without a channel, all its channels' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -l all -d 'Everything'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -l restored -d 'Everything, after a restored backup: jobs that were due when the pause began may have been sent already and become uncertain, for a person to resolve'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pauses" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pauses" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pauses" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pauses" -l json -d 'A JSON array; null means every account, or every channel'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand pauses" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l status -d 'Only jobs in this state; separate several with commas' -r -f -a "pending\t'Waits to be sent, for the first time or again'
sending\t'Claimed: its request may be in flight'
sent\t'Acquire accepted it'
failed\t'It was not delivered; `failure` says why'
cancelled\t'Withdrawn before it was sent'
uncertain\t'Its request may have reached Acquire, but no answer was read; a person decides'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l waits -d 'Only pending jobs in this situation' -r -f -a "ready\t'Can be sent now, as soon as there is room'
backoff\t'Waits for its next attempt'
scheduled\t'Waits for its send_at'
parked\t'Waits for an earlier job of its ordering key'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l channel -d 'Only jobs of this channel' -r -f -a "chat\t'A message, a note or an event in a case\'s conversation'
mail\t'An email in a case'
sms\t'A text message to a contact\'s phone'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l account -d 'Only jobs of this account' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l source -d 'Only jobs with this source label' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l failure -d 'Only jobs that failed for this reason' -r -f -a "rejected\t'Acquire refused the message'
exhausted\t'Attempts or time used up'
expired\t'`expires_at` passed before it was sent'
invalid\t'The payload breaks the channel\'s rules; no request was made'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l error-code -d 'Only jobs whose last error has this code, like http_503' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l delivery -d 'Only messages that Acquire reports as this; separate several with commas' -r -f -a "delivered\t'It has arrived'
seen\t'It was seen'
bounced\t'An email that was returned'
failed\t'It did not arrive, and was not returned either'"
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l case -d 'Only jobs of this case at Acquire; for an SMS, its thread' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l contact -d 'Only jobs of this contact at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l to -d 'Only jobs to this phone number or email address' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l message-id -d 'Only the job whose message has this id at Acquire' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l key -d 'Only the job with this idempotency key' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l error -d 'Only jobs whose last error contains this text (case-insensitive)' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l older-than -d 'Only jobs that were inserted longer ago than this, like 2h or 30d' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l newer-than -d 'Only jobs that were inserted within this time, like 30m' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l finished-since -d 'Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l finished-before -d 'Only jobs that finished before then' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l finished -d 'Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l bounced -d 'Only messages that were returned: --delivery bounced'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l all -d 'Every job in a state that this command changes by default'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l dry-run -d 'Change nothing; print how many jobs would be changed, or with --json which ones'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -s y -l yes -d 'Do not ask before a change by filter; the question appears only on a terminal'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -l json -d 'One JSON object: how many jobs were changed, and which were refused'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l producer -d 'A role that inserts jobs; may be repeated, like the others' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l reader -d 'A role that reads the status of jobs, but no messages' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l operator -d 'A role that uses the commands: list, show, retry, cancel, pause, import, export ...' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l node -d 'A role that runs the daemon without owning the outbox' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -l by-source -d 'Let each producer see and change only jobs whose `source` is its own name'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand grants" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l from -d 'The outbox to move: a file, or postgres://user@host/database' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l from-schema -d 'Its schema, in a PostgreSQL database [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l to -d 'The new outbox: a file, or postgres://user@host/database' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l to-schema -d 'Its schema, in a PostgreSQL database [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -l leave-behind -d 'Leave jobs behind that the other database cannot hold, instead of moving nothing'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand move" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand check" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand check" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand check" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand check" -l deep -d 'Read the whole database and look for damage, as far as the engine can; slow if it is large'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand check" -l json -d 'One JSON object: `ok`, and a list of the checks'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand check" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l contact -d 'All cases of a contact, by its id' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l case -d 'One case, by its id' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l account -d 'The account to ask [default: the only one, or `default`]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -l json -d 'A JSON array with the field names of a payload'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand lookup" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l case -d 'The case, by its id' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l account -d 'The account to ask [default: the only one, or `default`]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l texts -d 'Show subjects and message text'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -l json -d 'A JSON array with an object for each call'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand probe" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l listen -d 'Address on this machine; port 0 takes a free port' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l latency -d 'Answer after this long, as in 200ms' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l error -d 'Answer this share of requests with an error, as in 503=10%; may be repeated' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l retry-after -d 'Send Retry-After with each 429 and 503 of --error, as in 5s' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l silent -d 'Accept this share of requests and never answer, as in 2%' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l lost -d 'Accept this share of requests and close the connection without an answer, as in 2%' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l drop -d 'Drop this share of connections without accepting, as in 2%' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l odd -d 'Answer in an odd way, like bom or bom=10%; may be repeated; `--odd list` prints the kinds' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l shown-after -d 'Show a message only this long after it was accepted, as in 20s' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l twice -d 'Show this share of messages twice, with different ids' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l rewrite -d 'Change texts: `text` trims and escapes them, `html` rewrites their HTML' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l clock -d 'Set the sandbox\'s clock ahead by this many seconds; a negative number sets it back' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l delivered-after -d 'Deliver emails and SMS after this time, and have everything seen after twice that time' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l bounced -d 'Return this share of emails, and fail this share of SMS, instead of delivering them' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l text-ids -d 'Write ids as text'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l unknown-shape -d 'Answer in a shape that is not documented'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l no-reading -d 'Refuse to read with 403'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -l says-no -d 'Answer with an error, but with a success status'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand sandbox" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand demo" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand demo" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand demo" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand demo" -l page -d 'Serve the dashboard, and keep running until Ctrl-C'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand demo" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand settings" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand settings" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand settings" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand settings" -l json -d 'One JSON array'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand settings" -l markdown -d 'The page docs/settings.md'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand settings" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand completions" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand completions" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand completions" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand completions" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand man" -l config -d 'Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then /etc/acquire-outbox/config.toml]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand man" -l database -d 'The SQLite file with the outbox, or postgres://user@host/database [env: ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]' -r -F
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand man" -l schema -d 'The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default: public]' -r
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand man" -s h -l help -d 'Print help'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "init" -d 'Create the database, add the outbox to an application\'s database, or migrate it'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "run" -d 'Run the daemon: claim, send, record'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "send" -d 'Insert one job'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "status" -d 'Show counts by channel and state, ages, rates, and what holds jobs back'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "nodes" -d 'List the dispatchers that work on the outbox, with their leases'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "list" -d 'List jobs, newest first'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "find" -d 'Find jobs by case, contact, phone number, email address, message id, key or source'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "show" -d 'Show one job, its history, and why it waits'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "retry" -d 'Send failed, cancelled or uncertain jobs again, with a fresh budget'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "cancel" -d 'Withdraw pending jobs'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "resolve" -d 'Resolve uncertain jobs, once you know whether they were delivered'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "import" -d 'Insert jobs from CSV or JSON lines'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "export" -d 'Write jobs and their outcomes as CSV or JSON lines'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "pause" -d 'Pause a channel, an account or everything, until it is resumed'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "resume" -d 'End a pause'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "pauses" -d 'List what is paused, since when and why'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "prune" -d 'Delete finished jobs: by the retention settings, by id or by filter'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "grants" -d 'Print the SQL that grants PostgreSQL roles the rights that they need'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "move" -d 'Move an outbox from a file to PostgreSQL, or back, with its ids and history'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "check" -d 'Check the configuration, the database and the accounts, without sending'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "lookup" -d 'Look up a contact\'s cases at Acquire, with the ids that a message needs'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "probe" -d 'Show what Acquire returns for a case, to see whether messages can be verified'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "sandbox" -d 'Run a stand-in for Acquire on this machine, to try things out'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "demo" -d 'See everything work, in a temporary folder'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "settings" -d 'List every setting of the configuration, with its range and default'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "completions" -d 'Print the completion script for a shell'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "man" -d 'Write the manual pages to a folder'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and not __fish_seen_subcommand_from init run send status nodes list find show retry cancel resolve import export pause resume pauses prune grants move check lookup probe sandbox demo settings completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and __fish_seen_subcommand_from send" -f -a "chat" -d 'A chat message to a case'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and __fish_seen_subcommand_from send" -f -a "mail" -d 'An email in a case'
complete -c acquire-outbox -n "__fish_acquire_outbox_using_subcommand help; and __fish_seen_subcommand_from send" -f -a "sms" -d 'A text message'
