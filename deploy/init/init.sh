#!/bin/sh
# Make the volumes ready, each time the stack starts: every one gets the owner that the containers run as, `targets` says
# which Prefect is watched and which database of the stack's own is backed up, and `probe` holds a program for health
# checks of images that have none.
#
# Watched is what PREFECT_API_URL names, else the bundled server where its profile is on (probe/.server says so) or it
# still runs, else the server on this host.
#
#     init.sh [VOLUMES [SECRETS]]
#
# Environment: STACK_UID, STACK_GID, PREFECT_API_URL, PREFECT_UI_URL, PREFECT_PORT, BIND_ADDRESS; where docker-compose.external-postgres.yml
# is on, POSTGRES_ADDRESS and POSTGRES_USER_SUFFIX. It runs as root with CAP_CHOWN alone, so it may write only where root is
# the owner: it takes a folder, writes, and gives it away.
set -eu

volumes=${1:-/volumes}
secrets=${2:-/run/secrets}
bundled=http://prefect-proxy:4200/api

main() {
    case ${STACK_UID:-x}${STACK_GID:-x} in
        *[!0-9]*) die "STACK_UID and STACK_GID must be numbers: run \`make secrets\`, which sets them" ;;
    esac
    case ${BIND_ADDRESS:-127.0.0.1} in
        127.* | ::1 | '[::1]' | localhost) ;;
        *) die "BIND_ADDRESS=$BIND_ADDRESS would show pages that have no login: leave it, and use docker-compose.tls.yml (docs/production-server.md)" ;;
    esac
    server=$(bundled_server)
    rm -f "$volumes/probe/.server"
    url=$(watched_url)
    probe
    chown "$(id -u):$(id -g)" "$volumes/targets"
    targets "$url"
    database prefect_backup | replace backup_database
    restored_database | replace restore_database
    encryption_key
    for volume in "$volumes"/*; do
        [ "$volume" = "$volumes/probe" ] || chown "$STACK_UID:$STACK_GID" "$volume"
    done
}

# A later `up` without the profile, of one service say, must not lead the exporter to another server.
bundled_server() {
    if [ -e "$volumes/probe/.server" ] || timeout 5 nslookup prefect-proxy >/dev/null 2>&1; then echo "$bundled"; fi
}

watched_url() {
    url=${PREFECT_API_URL:-${server:-http://host.docker.internal:4200/api}}
    url=${url%/}
    valid_url "$url"
    # In a container that is the container itself, and a shell that runs flows has such a PREFECT_API_URL.
    for itself in 127.0.0.1 localhost '[::1]'; do
        case $url in
            *://"$itself" | *://"$itself"[:/]*)
                echo "PREFECT_API_URL: $itself is this host, which containers call host.docker.internal" >&2
                url="${url%%://*}://host.docker.internal${url#*://"$itself"}"
                ;;
        esac
    done
    # What the host's own clients of the bundled server are told.
    [ "$url" != "http://host.docker.internal:${PREFECT_PORT:-4200}/api" ] || url=${server:-$url}
    echo "$url"
}

# The program that copies is busybox itself, and that is what it is called as. This folder stays root's.
probe() {
    cp /proc/self/exe "$volumes/probe/.new"
    chmod 755 "$volumes/probe/.new"
    mv "$volumes/probe/.new" "$volumes/probe/wget"
}

# Where Prefect's pages are for a browser: a container reaches the server of this machine by another name.
ui_of() {
    case $1 in
        "$bundled") ui=http://127.0.0.1:${PREFECT_PORT:-4200} ;;
        *//host.docker.internal*) ui=$(echo "${1%/api}" | sed 's,//host\.docker\.internal,//127.0.0.1,') ;;
        *) ui= ;;
    esac
    echo "${PREFECT_UI_URL:-$ui}"
}

# Credentials only where there are any: an empty file is none.
targets() {
    {
        echo "targets:"
        echo "  - name: default"
        echo "    url: \"$1\""
        [ -z "$(ui_of "$1")" ] || echo "    ui_url: \"$(ui_of "$1")\""
        if [ "$1" = "$bundled" ]; then
            echo "    auth_string_file: /run/secrets/prefect_auth_string"
        else
            [ ! -s "$secrets/prefect_api_auth_string" ] || echo "    auth_string_file: /run/secrets/prefect_api_auth_string"
            [ ! -s "$secrets/prefect_api_key" ] || echo "    api_key_file: /run/secrets/prefect_api_key"
        fi
    } | replace exporter.yaml
    echo "[{\"targets\": [\"$(health_of "$1")\"], \"labels\": {\"target\": \"default\"}}]" | replace blackbox.json
    echo "watched: $1"
}

# The address of the bundled server's database for a role, whatever else is watched. Its password is a secret of who uses it.
database() {
    [ -z "$server" ] ||
        echo "postgresql://$1${POSTGRES_USER_SUFFIX:-}@${POSTGRES_ADDRESS:-postgres:5432/prefect}"
}

# A backup of another database is not for the bundled one.
restored_database() {
    if [ ! -s "$secrets/backup_database_url" ]; then
        database prefect_owner
    elif [ -n "$server" ]; then
        echo "backup_database_url names another database than the bundled one: a restore needs its owner's address in secrets/restore_database_url" >&2
    fi
}

# Which key encrypted the blocks that are backed up: yours, of a server of your own, or the bundled server's.
encryption_key() {
    key=/run/secrets/backup_encryption_key
    [ -z "$server" ] || [ -s "$secrets/backup_encryption_key" ] || key=/run/secrets/prefect_encryption_key
    rm -f "$volumes/targets/encryption_key.new"
    ln -s "$key" "$volumes/targets/encryption_key.new"
    mv "$volumes/targets/encryption_key.new" "$volumes/targets/encryption_key"
}

# Whole or not at all: their readers look every few seconds.
replace() {
    rm -f "$volumes/targets/$1.new"
    cat >"$volumes/targets/$1.new"
    chmod 644 "$volumes/targets/$1.new"
    chown "$STACK_UID:$STACK_GID" "$volumes/targets/$1.new"
    mv "$volumes/targets/$1.new" "$volumes/targets/$1"
}

# What goes into YAML and JSON has neither quotes nor spaces, and no credentials.
valid_url() {
    rest=${1#https://}
    rest=${rest#http://}
    case $1 in
        *@*) die "PREFECT_API_URL must not hold a user or a password: these go into secrets/prefect_api_auth_string" ;;
        *[!]A-Za-z0-9.:/_~%[-]*) die "PREFECT_API_URL has a character that no address has, or a query: give one such as http://host.docker.internal:4200/api" ;;
        http://* | https://*) ;;
        *) die "PREFECT_API_URL is not an http or https address: give one such as http://host.docker.internal:4200/api" ;;
    esac
    case $rest in '' | /* | :* | */*:* | http*:*) die "PREFECT_API_URL names no host: give one such as http://host.docker.internal:4200/api" ;; esac
}

# The route that answers without a credential.
health_of() {
    case $1 in
        https://api.prefect.cloud/*) echo https://api.prefect.cloud/api/health ;;
        *) echo "$1/health" ;;
    esac
}

die() {
    echo "${0##*/}: $*" >&2
    exit 2
}

main
