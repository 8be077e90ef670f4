-- Locks all tables in :mode, and says at last who is in the way. Sessions of the own role are ended before that.
DO $lock$
DECLARE
    attempts CONSTANT int := 6;
    tables oid[];
    names text;
    holders text;
BEGIN
    SELECT array_agg(object.oid), string_agg(format('public.%I', relname), ', ')
    INTO tables, names
    FROM (:objects) AS object JOIN pg_class ON pg_class.oid = object.oid
    WHERE relkind IN ('r', 'p');
    IF names IS NULL THEN
        RETURN;
    END IF;
    FOR attempt IN 1..attempts LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %s IN :mode MODE', names);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            SELECT string_agg(concat_ws(' ', usename, 'process', pid, application_name), ', ')
            INTO holders
            FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND pid IN (
                SELECT pg_locks.pid FROM pg_locks WHERE granted AND relation = ANY (tables)
            );
            IF attempt = attempts THEN
                RAISE EXCEPTION 'the tables are in use by %', coalesce(holders, 'others')
                    USING ERRCODE = 'lock_not_available';
            ELSIF attempt > attempts / 2 THEN
                PERFORM pg_terminate_backend(pid)
                FROM pg_stat_activity
                WHERE pid <> pg_backend_pid() AND pg_has_role(usesysid, 'USAGE') AND pid IN (
                    SELECT pg_locks.pid FROM pg_locks WHERE granted AND relation = ANY (tables)
                );
            END IF;
        END;
    END LOOP;
END
$lock$;
