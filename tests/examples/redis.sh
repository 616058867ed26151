#!/bin/sh
# A redis-server with a load, from its start to its end: what the examples for redis watch.
set -e
dir=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
redis-server --port 0 --save '' --unixsocket "$dir/socket" --dir "$dir" >/dev/null &
server=$!
until redis-cli -s "$dir/socket" ping >/dev/null 2>&1; do kill -0 $server; done
redis-benchmark -s "$dir/socket" -q -c 4 -n 300 -t set,get,lpush,lrange_100 >/dev/null
redis-cli -s "$dir/socket" shutdown nosave
wait $server
