-- Everything in schema public that can be dropped by itself, and that no extension made; tables first.
SELECT class, oid, owner, rank
FROM (
    SELECT 'pg_class'::regclass, oid, relowner, CASE WHEN relkind IN ('r', 'p') THEN 0 ELSE 1 END
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, proowner, 2
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'pg_type'::regclass, pg_type.oid, typowner, 3
    FROM pg_type LEFT JOIN pg_class ON pg_class.oid = typrelid
    WHERE typnamespace = 'public'::regnamespace
      AND (typtype IN ('e', 'd', 'r') OR relkind = 'c')
) AS object (class, oid, owner, rank)
WHERE NOT EXISTS (
    SELECT FROM pg_depend
    WHERE pg_depend.classid = class AND objid = object.oid AND deptype = 'e'
)
