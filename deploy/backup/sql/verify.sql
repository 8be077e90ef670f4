-- Gives the same rights as before, and raises where what is there now is not what the manifest says.
DO $verify$
DECLARE
    expected CONSTANT json := current_setting('backup.manifest')::json;
    revision text;
    item record;
    actual bigint;
BEGIN
    FOR item IN
        SELECT name, CASE kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, privilege, role
        FROM json_to_recordset(current_setting('backup.grants')::json)
            AS (name text, kind text, privilege text, role text)
        WHERE to_regclass(format('public.%I', name)) IS NOT NULL
    LOOP
        EXECUTE format(
            'GRANT %s ON %s public.%I TO %I', item.privilege, item.kind, item.name, item.role
        );
    END LOOP;

    SELECT version_num INTO STRICT revision FROM public.alembic_version;
    IF revision <> expected ->> 'revision' THEN
        RAISE EXCEPTION 'the schema is % and was %', revision, expected ->> 'revision'
            USING ERRCODE = 'PB001';
    END IF;

    FOR item IN SELECT key AS name, value::bigint AS rows FROM json_each_text(expected -> 'rows')
    LOOP
        IF to_regclass(format('public.%I', item.name)) IS NULL THEN
            RAISE EXCEPTION 'the table % is missing', item.name USING ERRCODE = 'PB001';
        END IF;
        EXECUTE format('SELECT count(*) FROM public.%I', item.name) INTO actual;
        IF actual <> item.rows THEN
            RAISE EXCEPTION 'the table % has % rows and had %', item.name, actual, item.rows
                USING ERRCODE = 'PB001';
        END IF;
    END LOOP;
END
$verify$;
-- What pg_restore has set must not outlive the transaction.
RESET ALL;
