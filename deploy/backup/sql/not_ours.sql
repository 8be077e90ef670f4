-- What the role that asks may not drop.
SELECT type, identity, pg_get_userbyid(owner)
FROM (:objects) AS object, pg_identify_object(class, object.oid, 0)
WHERE NOT pg_has_role(owner, 'USAGE')
ORDER BY identity
LIMIT 5
