CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Where each lane was read to; `doubt` stands for the entries of it that could not be read.
CREATE TABLE cursor (lane TEXT PRIMARY KEY, tip TEXT NOT NULL, doubt TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- The readings of all clocks.
CREATE TABLE reading (millis INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (millis, count)) STRICT, WITHOUT ROWID;

-- All that is known of each issue, those included whose creation did not come yet.
CREATE TABLE record (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, json TEXT NOT NULL) STRICT;

-- What happened to each issue: the events' canonical bytes, and where the ledger has them.
CREATE TABLE event (n INTEGER NOT NULL, id TEXT NOT NULL, bytes BLOB NOT NULL, at TEXT NOT NULL, PRIMARY KEY (n, id)) STRICT, WITHOUT ROWID;

-- What people see of an issue, as far as it is asked for. Names are in lower case (of ASCII
-- letters), times in milliseconds; `has` is a bit for each attribute.
CREATE TABLE issue (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    closed INTEGER,
    due INTEGER,
    priority INTEGER,
    comments INTEGER NOT NULL,
    has INTEGER NOT NULL,
    done INTEGER,
    total INTEGER,
    author TEXT NOT NULL,
    milestone TEXT,
    template TEXT,
    key TEXT,
    fingerprint TEXT,
    labels TEXT NOT NULL,
    title TEXT NOT NULL
) STRICT;
CREATE INDEX issue_newest ON issue (created DESC, id DESC);
CREATE INDEX issue_key ON issue (key) WHERE key IS NOT NULL;
CREATE INDEX issue_fingerprint ON issue (fingerprint) WHERE fingerprint IS NOT NULL;

-- The whole of it, as JSON. In a table of its own: whoever filters does not read it.
CREATE TABLE view (n INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;

-- Labels and people, in lower case.
CREATE TABLE tag (kind INTEGER NOT NULL, value TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (kind, value, n)) STRICT, WITHOUT ROWID;
CREATE INDEX tag_of ON tag (n);

CREATE TABLE dependency (n INTEGER NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (n, kind, target)) STRICT, WITHOUT ROWID;

-- Fed with words that are split and folded already, so that phrases mean what they mean in memory.
CREATE VIRTUAL TABLE text USING fts5 (title, body, comments, content = '', contentless_delete = 1, tokenize = 'ascii');
