#!/bin/sh
# PgBouncer takes passwords from a file of its own: written here, into memory, from the secret. A password of `make
# secrets` has no quote; one of yours may.
set -eu
umask 077
password=$(sed 's/"/""/g' /run/secrets/prefect_db_password)
printf '"prefect" "%s"\n' "$password" >/tmp/users
exec pgbouncer /opt/pgbouncer/pgbouncer.ini
