#!/usr/bin/env bash
# The database `prefect` and who may do what in it. The image runs this at the first start, on the local socket.
# Run it again after a password was changed, or a database restored; it changes nothing else:
#
#     docker compose exec postgres bash /docker-entrypoint-initdb.d/10-roles.sh
#
# | role              | may                                                                |
# |-------------------|--------------------------------------------------------------------|
# | prefect_owner     | own the database and its schema: migrations                        |
# | prefect           | read and write rows: the server                                    |
# | postgres_exporter | read statistics, and no row (pg_monitor)                           |
# | prefect_backup    | read every row, and write none (pg_read_all_data)                  |
#
# Passwords: prefect_owner_password, prefect_db_password, postgres_exporter_password, backup_password and, of the
# superuser, postgres_password, each a file in /run/secrets (SECRETS, for tests).
set -euo pipefail

secrets=${SECRETS:-/run/secrets}

main() {
    local name
    for name in postgres prefect_owner prefect_db postgres_exporter backup; do
        [ -s "$secrets/${name}_password" ] || {
            echo "10-roles.sh: $secrets/${name}_password is missing or empty: run \`make secrets\`" >&2
            exit 1
        }
    done
    export PGPASSWORD=${PGPASSWORD:-$(<"$secrets/postgres_password")}
    cd "$secrets"
    statements | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres
}

# psql reads the passwords itself: none is an argument of a program, and the log takes none from a statement.
statements() {
    cat <<'SQL'
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';
\set owner `cat prefect_owner_password`
\set server `cat prefect_db_password`
\set exporter `cat postgres_exporter_password`
\set backup `cat backup_password`

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['prefect_owner', 'prefect', 'postgres_exporter', 'prefect_backup']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE prefect_owner PASSWORD :'owner' CONNECTION LIMIT 5;
ALTER ROLE prefect PASSWORD :'server' CONNECTION LIMIT 80;
ALTER ROLE postgres_exporter PASSWORD :'exporter' CONNECTION LIMIT 3;
ALTER ROLE prefect_backup PASSWORD :'backup' CONNECTION LIMIT 5;
GRANT pg_monitor TO postgres_exporter;
GRANT pg_read_all_data TO prefect_backup;

-- Prefect gives up on a statement after 10 s; these are for what it left behind.
ALTER ROLE prefect SET statement_timeout = '1min';
ALTER ROLE prefect SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE postgres_exporter SET statement_timeout = '10s';
ALTER ROLE postgres_exporter SET default_transaction_read_only = on;
ALTER ROLE prefect_backup SET default_transaction_read_only = on;

SELECT 'CREATE DATABASE prefect OWNER prefect_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'prefect') \gexec
REVOKE ALL ON DATABASE postgres, template1, prefect FROM PUBLIC;
GRANT CONNECT ON DATABASE prefect TO prefect, postgres_exporter, prefect_backup;
GRANT CONNECT ON DATABASE postgres TO postgres_exporter;

\connect prefect
SET client_min_messages = 'warning';
CREATE EXTENSION IF NOT EXISTS pg_trgm;
ALTER SCHEMA public OWNER TO prefect_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO prefect;
-- What migrations will make, and what a restore has made.
ALTER DEFAULT PRIVILEGES FOR ROLE prefect_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO prefect;
ALTER DEFAULT PRIVILEGES FOR ROLE prefect_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO prefect;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO prefect;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO prefect;
SQL
}

main
