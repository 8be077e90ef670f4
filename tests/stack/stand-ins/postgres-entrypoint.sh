#!/usr/bin/env bash
# What the real image does with an empty PGDATA and with POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also
# as *_FILE), POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD and /docker-entrypoint-initdb.d.
set -Eeo pipefail

main() {
    [ "${1:0:1}" != - ] || set -- postgres "$@"
    if [ "$1" = postgres ] && [[ " $* " != *" --version "* ]]; then
        mkdir -p "$PGDATA"
        chmod 700 "$PGDATA" || true
        become_postgres "$@"
        [ -s "$PGDATA/PG_VERSION" ] || first_start "$@"
    fi
    exec "$@"
}

become_postgres() {
    [ "$(id -u)" = 0 ] || return 0
    chown -R postgres "$PGDATA" /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
}

from_file() {
    local name=$1 file=${1}_FILE
    [ -z "${!file:-}" ] || printf -v "$name" %s "$(<"${!file}")"
    [ -n "${!name:-}" ] || printf -v "$name" %s "$2"
    export "${name?}"
    unset "$file"
}

first_start() {
    from_file POSTGRES_PASSWORD ''
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS ''
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE has to be set" >&2
        exit 1
    fi
    make_cluster
    export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
    shift
    pg_ctl -D "$PGDATA" -o "$(printf '%q ' "$@" -c "listen_addresses=")" -w start
    [ "$POSTGRES_DB" = postgres ] || createdb --username "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
    for file in /docker-entrypoint-initdb.d/*; do init "$file"; done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
}

# initdb refuses a user that /etc/passwd does not know.
make_cluster() {
    local passwd group
    if ! getent passwd "$(id -u)" >/dev/null; then
        passwd=$(mktemp) group=$(mktemp)
        echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$passwd"
        echo "postgres:x:$(id -g):" >"$group"
        export NSS_WRAPPER_PASSWD=$passwd NSS_WRAPPER_GROUP=$group LD_PRELOAD=libnss_wrapper.so
    fi
    # The arguments are words of a shell, as upstream reads them.
    eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(echo \"\$POSTGRES_PASSWORD\") $POSTGRES_INITDB_ARGS"
    if [ -n "${passwd:-}" ]; then
        rm -f "$passwd" "$group"
        unset NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD
    fi
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

init() {
    case $1 in
        *.sh)
            # shellcheck source=/dev/null
            if [ -x "$1" ]; then "$1"; else . "$1"; fi
            ;;
        *.sql) docker_process_sql -f "$1" ;;
        *.sql.gz) gunzip -c "$1" | docker_process_sql ;;
    esac
}

docker_process_sql() {
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

main "$@"
