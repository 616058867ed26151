#!/bin/sh
# A PostgreSQL server under pgbench until the file $1 exists; then its books must balance.
set -e
# Where another user can come to.
dir=$(mktemp -d /tmp/rstap-stress-XXXXXX)
examples=$(dirname "$0")/../examples
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
"$examples/postgres-init.sh" "$dir"
[ "$(id -u)" = 0 ] && as="runuser -u postgres --"
cd "$dir"
$as "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off 2>"$dir/log" &
trap '$as "$bin/pg_ctl" -s -D "$dir/data" -m immediate stop; rm -rf "$dir"' EXIT
until $as "$bin/pg_isready" -q -h "$dir"; do [ -e "$dir/log" ]; done
$as "$bin/pgbench" -q -i -s 1 -h "$dir" -U postgres postgres >/dev/null 2>&1
echo ready 0
while [ ! -e "$1" ]; do
    $as "$bin/pgbench" -n -c 2 -t 20 -h "$dir" -U postgres postgres >/dev/null 2>"$dir/errors"
done
sum() { $as "$bin/psql" -qtA -h "$dir" -U postgres -c "select sum($1) from $2" postgres; }
total=$(sum abalance pgbench_accounts)
[ "$total" = "$(sum tbalance pgbench_tellers)" ]
[ "$total" = "$(sum bbalance pgbench_branches)" ]
[ "$total" = "$(sum delta pgbench_history)" ]
trap - EXIT
$as "$bin/pg_ctl" -s -D "$dir/data" -m fast stop
wait
if grep -E 'terminated by signal|PANIC' "$dir/log"; then exit 1; fi
rm -rf "$dir"
echo right
