#!/bin/sh
# Give a Prefect program its secrets, then become it:
#
#     entrypoint.sh prefect server start
#
# Prefect takes secrets from its environment alone, and what a compose file writes there shows in `docker inspect`.
# So the compose file names a file in NAME_FILE, for each NAME below, and this exports NAME with what is in it.
# The password of Redis also goes into PREFECT_SERVER_DOCKET_URL, where that names a user and no password.
set -eu

names="
PREFECT_API_AUTH_STRING
PREFECT_API_KEY
PREFECT_REDIS_MESSAGING_PASSWORD
PREFECT_REDIS_WORKER_CLEANUP_QUEUE_PASSWORD
PREFECT_SERVER_API_AUTH_STRING
PREFECT_SERVER_DATABASE_PASSWORD
PREFECT_SERVER_ENCRYPTION_KEY
"

main() {
    for name in $names; do
        eval "file=\${${name}_FILE:-}"
        [ -z "$file" ] || from_file "$name" "$file"
        unset "${name}_FILE"
    done
    case ${PREFECT_SERVER_DOCKET_URL:-} in
        *://*:*@*) ;;
        *://*@*) docket_password ;;
    esac
    exec "$@"
}

from_file() {
    { [ -f "$2" ] && [ -r "$2" ]; } || die "$1_FILE=$2 cannot be read: run \`make secrets\`, then start again"
    secret=$(cat "$2")
    [ -n "$secret" ] || die "$1_FILE=$2 is empty: run \`make secrets\`, then start again"
    export "$1=$secret"
}

docket_password() {
    : "${PREFECT_REDIS_MESSAGING_PASSWORD:?is needed for PREFECT_SERVER_DOCKET_URL}"
    user=${PREFECT_SERVER_DOCKET_URL%%@*}
    server=${PREFECT_SERVER_DOCKET_URL#*@}
    export "PREFECT_SERVER_DOCKET_URL=$user:$(percent_encoded "$PREFECT_REDIS_MESSAGING_PASSWORD")@$server"
}

# Through standard input: arguments of programs can be read by others.
percent_encoded() { printf %s "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' '%'; }

die() {
    echo "entrypoint.sh: $*" >&2
    exit 2
}

main "$@"
