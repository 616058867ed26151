#!/bin/sh
# An nginx with some requests, from its start to its end: what the examples for nginx watch.
set -e
dir=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
mkdir "$dir/www"
head -c 100000 /dev/zero >"$dir/www/large"
echo hello >"$dir/www/index.html"
cat >"$dir/conf" <<CONF
daemon off; worker_processes 1; pid $dir/pid; error_log $dir/error;
events { }
http {
    access_log $dir/access; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f;
    uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    server { listen unix:$dir/socket; root $dir/www; }
}
CONF
chmod 755 "$dir"
/usr/sbin/nginx -p "$dir" -c "$dir/conf" -e "$dir/error" &
server=$!
until [ -S "$dir/socket" ]; do kill -0 $server; done
for path in / / /large /large /none; do
    curl -s -o /dev/null --retry 3 --retry-connrefused --unix-socket "$dir/socket" "http://localhost$path"
done
kill -QUIT $server
wait $server || true
