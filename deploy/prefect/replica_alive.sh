#!/bin/sh
# A check for healthcheck.sh: whether the replica of the Prefect server in this container is ready (0), answers although
# its database does not (2), or does not answer (1).
set -eu
readonly url=http://127.0.0.1:4200/api

asked() { /probe/wget -q -T 4 -O /dev/null "$url/$1"; }

asked ready || { asked health && exit 2; }
