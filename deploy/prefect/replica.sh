#!/bin/sh
# Run a replica of the Prefect server so that the proxy leaves it before it goes:
#
#     replica.sh prefect server start ...
#
# :4201/serving is there for as long as the replica wants requests, and the proxy asks for it at each of its checks. Told
# to stop, the replica first takes it away, serves on until the proxy must have seen that, and only then ends the server,
# which finishes what it has begun.
set -eu

readonly folder=/tmp/replica
# Two of the proxy's checks.
readonly seconds=5

main() {
    mkdir -p "$folder/public"
    : >"$folder/public/serving"
    # busybox is what it is called as.
    ln -sf /probe/wget "$folder/httpd"
    "$folder/httpd" -f -p 4201 -h "$folder/public" &
    "$@" &
    server=$!
    trap leave TERM INT
    # A signal ends a wait before the server ends.
    code=143
    while kill -0 "$server" 2>/dev/null; do
        code=0
        wait "$server" || code=$?
    done
    exit "$code"
}

leave() {
    trap '' TERM INT
    rm "$folder/public/serving"
    sleep "$seconds"
    kill "$server"
}

main "$@"
