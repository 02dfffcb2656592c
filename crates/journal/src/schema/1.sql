CREATE TABLE stream (
    stream  TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a sequence is never given twice, so a reader of the tail skips nothing.
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    stream   TEXT NOT NULL REFERENCES stream (stream),
    version  INTEGER NOT NULL,
    id       TEXT NOT NULL,
    body     BLOB NOT NULL,
    UNIQUE (stream, version)
) STRICT;

CREATE TABLE effect (
    sequence INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    stream   TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT;

CREATE TABLE row (
    table_name TEXT NOT NULL,
    key        TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    scope      TEXT NOT NULL,
    status     TEXT NOT NULL,
    ord        INTEGER NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (table_name, key)
) STRICT;

CREATE INDEX row_by_order ON row (table_name, ord, key);
CREATE INDEX row_by_status ON row (table_name, tenant, status, ord, key);
CREATE INDEX row_by_scope ON row (table_name, scope);

CREATE TABLE cursor (
    consumer TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
