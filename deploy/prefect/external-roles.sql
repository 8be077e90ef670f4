-- Who may do what in a PostgreSQL that is not the stack's, such as a managed one. psql runs it, in the database that
-- Prefect is to have, as whoever administers it: no superuser, but CREATEROLE and the rights of the database's owner.
--
--     cd secrets
--     psql "host=db.example.com dbname=prefect user=admin sslmode=verify-full sslrootcert=postgres_ca.pem" \
--         -X -f ../deploy/prefect/external-roles.sql
--
-- The passwords are those of `make secrets`. Run it again after one was changed; it changes nothing else. The roles are
-- those of postgres/10-roles.sh, but prefect_backup reads what prefect_owner makes and no other table of the server.
\set ON_ERROR_STOP on
\set owner `cat prefect_owner_password`
\set server `cat prefect_db_password`
\set exporter `cat postgres_exporter_password`
\set backup `cat backup_password`
SET client_min_messages = 'warning';

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['prefect_owner', 'prefect', 'postgres_exporter', 'prefect_backup']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE prefect_owner PASSWORD :'owner' CONNECTION LIMIT 5;
ALTER ROLE prefect PASSWORD :'server' CONNECTION LIMIT 80;
ALTER ROLE postgres_exporter PASSWORD :'exporter' CONNECTION LIMIT 3;
ALTER ROLE prefect_backup PASSWORD :'backup' CONNECTION LIMIT 5;
ALTER ROLE prefect SET statement_timeout = '1min';
ALTER ROLE prefect SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE postgres_exporter SET statement_timeout = '10s';
ALTER ROLE postgres_exporter SET default_transaction_read_only = on;
ALTER ROLE prefect_backup SET default_transaction_read_only = on;

-- Without it the exporter sees neither what others' connections do nor the write-ahead log.
DO $$ BEGIN
    GRANT pg_monitor TO postgres_exporter;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'postgres_exporter sees less, as % may not grant pg_monitor', current_user;
END $$;

-- From PostgreSQL 16 on, who makes a role does not by that act for it.
SELECT 'GRANT prefect_owner TO CURRENT_USER' WHERE NOT pg_has_role('prefect_owner', 'USAGE') \gexec

SELECT format('GRANT CONNECT, CREATE ON DATABASE %I TO prefect_owner', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO prefect, postgres_exporter, prefect_backup', current_database()) \gexec

-- Some keep extensions in a schema of their own, where Prefect does not look by itself.
SELECT 'CREATE EXTENSION pg_trgm' || coalesce(' SCHEMA ' || quote_ident(max(nspname)), '')
FROM pg_namespace WHERE nspname = 'extensions'
HAVING NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') \gexec
SELECT format('ALTER ROLE %I SET search_path = public, %I', name, extnamespace::regnamespace)
FROM pg_extension, unnest(ARRAY['prefect_owner', 'prefect', 'prefect_backup']) AS name
WHERE extname = 'pg_trgm' AND extnamespace <> 'public'::regnamespace \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', extnamespace::regnamespace, name)
FROM pg_extension, unnest(ARRAY['prefect_owner', 'prefect', 'prefect_backup']) AS name
WHERE extname = 'pg_trgm' AND NOT has_schema_privilege(name, extnamespace, 'USAGE') \gexec

GRANT USAGE, CREATE ON SCHEMA public TO prefect_owner;
GRANT USAGE ON SCHEMA public TO prefect, prefect_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE prefect_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO prefect;
ALTER DEFAULT PRIVILEGES FOR ROLE prefect_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO prefect;
ALTER DEFAULT PRIVILEGES FOR ROLE prefect_owner IN SCHEMA public
    GRANT SELECT ON TABLES TO prefect_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE prefect_owner IN SCHEMA public
    GRANT SELECT ON SEQUENCES TO prefect_backup;
