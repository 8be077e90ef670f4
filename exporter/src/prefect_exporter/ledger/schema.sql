-- A feed is one stream of one target, and its id is the prefix of every key it has counted.
CREATE TABLE IF NOT EXISTS feed (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    origin_us INTEGER NOT NULL DEFAULT -1,
    high_us INTEGER NOT NULL DEFAULT 0,
    newest_us INTEGER NOT NULL DEFAULT 0,
    scanned_us INTEGER NOT NULL DEFAULT 0,
    UNIQUE (target, name)
);
-- By time first: new keys go to the end of the tree, and old ones leave from its start.
CREATE TABLE IF NOT EXISTS seen (
    feed INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    PRIMARY KEY (feed, at_us, run_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS baseline (
    feed INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (feed, minute)
) WITHOUT ROWID;
-- Only runs that started more than once: how many starts are counted.
CREATE TABLE IF NOT EXISTS retried (
    feed INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    run_count INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (feed, run_id)
) WITHOUT ROWID;
-- released: 0 while the series is published at 0 and no scrape has served that zero.
CREATE TABLE IF NOT EXISTS scalar (
    family TEXT NOT NULL,
    labels TEXT NOT NULL,
    value REAL NOT NULL,
    released INTEGER NOT NULL,
    PRIMARY KEY (family, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS histogram (
    family TEXT NOT NULL,
    labels TEXT NOT NULL,
    counts TEXT NOT NULL,
    total REAL NOT NULL,
    released INTEGER NOT NULL,
    PRIMARY KEY (family, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bounds (family TEXT PRIMARY KEY, bounds TEXT NOT NULL) WITHOUT ROWID;
-- The ends that a deployment's last success, last failure and failures in a row are told from.
CREATE TABLE IF NOT EXISTS streak (
    target TEXT NOT NULL,
    flow TEXT NOT NULL,
    name TEXT NOT NULL,
    streak TEXT NOT NULL,
    PRIMARY KEY (target, flow, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS name (
    target TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    folded INTEGER NOT NULL,
    PRIMARY KEY (target, scope, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deployment (
    target TEXT NOT NULL,
    id BLOB NOT NULL,
    flow TEXT NOT NULL,
    name TEXT NOT NULL,
    gone_us INTEGER,
    PRIMARY KEY (target, id)
) WITHOUT ROWID;
