#!/bin/sh
# Start HAProxy once there are a certificate and somebody who may log in; else say which is missing.
set -eu

needs() {
    [ -s "/run/secrets/$1" ] || {
        echo "tls: $1 is empty: $2 (docs/production-server.md)" >&2
        exit 2
    }
}

# shellcheck disable=SC2016 # words, not commands
needs tls.pem 'put a certificate, its chain and its key into it, or try with `make secrets ARGS="--self-signed HOST"`'
# shellcheck disable=SC2016
needs tls_users.cfg 'install openssl and run `make secrets`'
exec haproxy -W -db -f /run/secrets/tls_users.cfg -f /usr/local/etc/haproxy/haproxy.cfg
