#!/bin/sh
# redis-server with several threads under redis-benchmark until the file $1 exists; then it must have counted right.
set -e
# A socket's path is limited to about 100 bytes.
socket=$(mktemp -u /tmp/rstap-XXXXXX)
redis-server --port 0 --save '' --io-threads 2 --io-threads-do-reads yes --unixsocket "$socket" >/dev/null &
server=$!
trap 'kill -9 $server 2>/dev/null; rm -f "$socket"' EXIT
ask() { redis-cli -s "$socket" "$@"; }
until [ "$(ask ping 2>/dev/null)" = PONG ]; do kill -0 $server; done
echo ready $server
count=0
while [ ! -e "$1" ]; do
    redis-benchmark -s "$socket" -q -c 8 -n 200 -t incr,lpush,set >/dev/null
    count=$((count + 200))
done
[ "$(ask get counter:__rand_int__)" = $count ]
[ "$(ask llen mylist)" = $count ]
ask shutdown nosave
wait $server
trap - EXIT
rm -f "$socket"
echo right
