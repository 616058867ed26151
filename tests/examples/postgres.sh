#!/bin/sh
# A PostgreSQL server with a load, from its start to its end: what the examples for postgres watch. $1: the folder that
# postgres-init.sh made.
set -e
dir=$1
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
[ "$(id -u)" = 0 ] && as="runuser -u postgres --"
cd "$dir"
$as "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c autovacuum=off 2>"$dir/log" &
until $as "$bin/pg_isready" -q -h "$dir"; do [ -e "$dir/log" ]; done
$as "$bin/pgbench" -q -i -s 1 -h "$dir" -U postgres postgres >/dev/null 2>&1
$as "$bin/pgbench" -n -c 2 -t 20 -h "$dir" -U postgres postgres >/dev/null 2>&1
$as "$bin/psql" -q -h "$dir" -U postgres -c 'select count(*) from pgbench_accounts where abalance > 1' postgres >/dev/null
$as "$bin/pg_ctl" -s -D "$dir/data" -m fast stop
wait
