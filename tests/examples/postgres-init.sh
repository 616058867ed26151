#!/bin/sh
# Makes the database cluster that postgres.sh serves, in the folder $1.
set -e
dir=$1
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
mkdir -p "$dir"
if [ "$(id -u)" = 0 ]; then
    chown postgres "$dir"
    as="runuser -u postgres --"
fi
cd "$dir"
[ -e "$dir/data/PG_VERSION" ] || $as "$bin/initdb" -D "$dir/data" -A trust -U postgres --no-sync >/dev/null
