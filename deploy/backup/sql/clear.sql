-- Remembers who might do what, and drops everything. CASCADE spares us an order; the count sees to it that nothing
-- outside the schema goes with it.
SET LOCAL client_min_messages = warning;

SELECT set_config('backup.grants', coalesce(json_agg(remembered)::text, '[]'), true)
FROM (
    SELECT relname AS name, relkind AS kind, privilege_type AS privilege, rolname AS role
    FROM pg_class, aclexplode(relacl) AS acl JOIN pg_roles ON pg_roles.oid = grantee
    WHERE relnamespace = 'public'::regnamespace
      AND relkind IN ('r', 'p', 'S') AND grantee <> relowner
) AS remembered;

DO $clear$
DECLARE
    count_outside CONSTANT text := $count$
        SELECT (
            SELECT count(*)
            FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname <> 'public' AND nspname NOT LIKE 'pg\_%'
        ) + (
            SELECT count(*) FROM pg_constraint WHERE connamespace <> 'public'::regnamespace
        )
    $count$;
    statements text;
    tables bigint;
    before bigint;
    after bigint;
BEGIN
    EXECUTE count_outside INTO before;
    SELECT string_agg(format('DROP %s IF EXISTS %s CASCADE', type, identity), '; ' ORDER BY rank),
        count(*) FILTER (WHERE rank = 0)
    INTO statements, tables
    FROM (:objects) AS object, pg_identify_object(class, object.oid, 0);
    IF tables > 0 AND NOT :kept THEN
        RAISE EXCEPTION 'the database was empty, and has % tables now', tables
            USING ERRCODE = 'PB003';
    END IF;
    IF statements IS NOT NULL THEN
        EXECUTE statements;
    END IF;
    EXECUTE count_outside INTO after;
    IF before <> after THEN
        RAISE EXCEPTION 'views or foreign keys in other schemas depend on these tables'
            USING ERRCODE = 'PB002';
    END IF;
END
$clear$;
