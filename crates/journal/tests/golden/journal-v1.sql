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

INSERT INTO stream VALUES ('test/golden', 1);
INSERT INTO event VALUES (1, 'test/golden', 1, 'b7bsmf6uyysdhacs7cef43grxvhkkfqrib56sxzd7rwoqfoesfca', x'7b226163746f72223a7b227072696e636970616c223a2267726974222c22766961223a2274657374227d2c226361757365223a6e756c6c2c2264617461223a7b226e756d626572223a302c2274657874223a22c3bc5c6e5c225c7530303030227d2c22686c63223a5b302c305d2c226b696e64223a22746573742e68617070656e6564222c227265706f223a2274657374222c227375626a656374223a22746573742f676f6c64656e222c2274656e616e74223a226c6f63616c222c2276223a317d');
INSERT INTO effect VALUES (1, 'b7bsmf6uyysdhacs7cef43grxvhkkfqrib56sxzd7rwoqfoesfca/3', 'test/golden', '{"do":"it"}');
INSERT INTO row VALUES ('things', 'k', 'local', 'shop', 'open', 1, '{"n":1}');
INSERT INTO cursor VALUES ('relay', 1);

PRAGMA application_id = 1196575060;
PRAGMA user_version = 1;
