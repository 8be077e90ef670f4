-- The transaction's own limits, whatever the role's are.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
-- By name: transaction_timeout is of PostgreSQL 17.
SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
WHERE name IN (
    'statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout'
);
-- All that queues behind an attempt to lock waits as long.
SET LOCAL lock_timeout = '5s';
-- Else a server that is busy with a long statement learns late that its client was killed, and keeps its locks.
SET LOCAL client_connection_check_interval = '5s';
