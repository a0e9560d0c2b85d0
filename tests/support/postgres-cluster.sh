# Keeps one PostgreSQL cluster for a test program: `sh postgres-cluster.sh BIN FOLDER [SETTING...]`, as the user
# that is to own it. With a connection string in PRIMARY it is a standby of that server. Reads a command a line (start, stop,
# crash, promote), answers each with a line, and at the end of its
# input, which also comes when the test program is killed, it stops the server and removes the folder.
bin=$1 folder=$2
shift 2
server=
# Nobody may read the answers any more.
trap '' PIPE

start() {
    "$bin/postgres" -D "$folder/data" "$@" </dev/null >>"$folder/log" 2>&1 &
    server=$!
    # 30 s: the machine is shared.
    for _ in $(seq 600); do
        if "$bin/pg_isready" -q -h "$folder"; then
            echo started
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    echo "did not start: $(tail -n 5 "$folder/log" | tr '\n' ' ')"
}

# INT: at once and cleanly; QUIT: as if it had crashed.
stop() {
    [ -z "$server" ] || { kill "-$1" "$server" && wait "$server"; } 2>/dev/null
    server=
    echo stopped
}

create() {
    if [ -n "$PRIMARY" ]; then
        "$bin/pg_basebackup" -d "$PRIMARY" -D "$folder/data" -R -X stream -c fast --no-sync
    else
        "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync
    fi
}

if create >"$folder/log" 2>&1; then
    start "$@"
else
    echo "it could not be created: $(tail -n 5 "$folder/log" | tr '\n' ' ')"
fi
while read -r command; do
    case $command in
    start) start "$@" ;;
    stop) stop INT ;;
    crash) stop QUIT ;;
    promote) if "$bin/pg_ctl" -D "$folder/data" -w promote >>"$folder/log" 2>&1; then echo promoted; else echo "not promoted"; fi ;;
    esac
done
stop QUIT >/dev/null
rm -rf "$folder"
