-- Version 1 of the ledger. Instants are milliseconds since 1970 in UTC, amounts are decimals as text.

-- A firing, claimed once for ever, and how its run ended. Open until it has been concluded; a run that a stop of the
-- daemon interrupted has a result and is still open.
CREATE TABLE run (
  id           INTEGER PRIMARY KEY,
  rule         TEXT    NOT NULL,
  scheduled_at INTEGER NOT NULL,
  connection   TEXT    NOT NULL,
  mode         TEXT    NOT NULL,
  trigger      TEXT    NOT NULL,
  window_from  INTEGER NOT NULL,
  window_to    INTEGER NOT NULL,
  started_at   INTEGER NOT NULL,
  finished_at  INTEGER,
  result       TEXT,
  reason       TEXT    NOT NULL DEFAULT '',
  resumed      INTEGER NOT NULL DEFAULT 0,
  open         INTEGER NOT NULL,
  executor     TEXT    NOT NULL,
  UNIQUE (rule, scheduled_at),
  CHECK (open IN (0, 1)),
  CHECK (open OR (result IS NOT NULL AND finished_at IS NOT NULL))
) STRICT;
-- A rule has one run under way at most.
CREATE UNIQUE INDEX run_open ON run (rule) WHERE open;
CREATE INDEX run_by_start ON run (scheduled_at);
-- What the clock is measured against.
CREATE INDEX run_by_claim ON run (started_at);
-- Where avoided costs wait for their second look.
CREATE INDEX run_by_window ON run (window_to) WHERE NOT open AND mode = 'enforce';

-- A deployment in a run. Written before its stop is asked for, completed with its outcome. What an hour costs is
-- kept as it was at the decision, so that no later price rewrites the past.
CREATE TABLE deployment (
  run                INTEGER NOT NULL REFERENCES run (id),
  resource_group     TEXT    NOT NULL,
  id                 TEXT    NOT NULL,
  configuration_id   TEXT    NOT NULL,
  configuration_name TEXT,
  scenario_id        TEXT,
  outcome            TEXT,
  reason             TEXT    NOT NULL DEFAULT '',
  requested_at       INTEGER,
  confirmed_at       INTEGER,
  expires_at         INTEGER,
  nodes              TEXT    NOT NULL,
  node_count         INTEGER NOT NULL,
  charge             TEXT    NOT NULL,
  charge_note        TEXT,
  capacity_units_per_hour TEXT,
  price              TEXT,
  currency           TEXT,
  price_source       TEXT,
  price_valid_from   TEXT,
  avoided_from       INTEGER,
  avoided_to         INTEGER,
  node_hours         TEXT    NOT NULL DEFAULT '0',
  capacity_units     TEXT,
  cost               TEXT,
  state              TEXT    NOT NULL DEFAULT 'none',
  seen_at            INTEGER,
  PRIMARY KEY (run, resource_group, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deployment_by_id ON deployment (id);

-- The second look at an avoided cost, after its off window ended. The projected figure above stays.
CREATE TABLE settlement (
  run                INTEGER NOT NULL,
  resource_group     TEXT    NOT NULL,
  id                 TEXT    NOT NULL,
  settled_at         INTEGER NOT NULL,
  ended_by           TEXT    NOT NULL,
  avoided_from       INTEGER,
  avoided_to         INTEGER,
  node_hours         TEXT    NOT NULL,
  capacity_units     TEXT,
  cost               TEXT,
  state              TEXT    NOT NULL,
  replacement        TEXT,
  leak_from          INTEGER,
  leak_to            INTEGER,
  leak_node_hours    TEXT,
  leak_capacity_units TEXT,
  leak_cost          TEXT,
  leak_state         TEXT,
  PRIMARY KEY (run, resource_group, id),
  FOREIGN KEY (run, resource_group, id) REFERENCES deployment (run, resource_group, id)
) STRICT, WITHOUT ROWID;

-- How far each rule has been dealt with. `schedule` is what it fired by: when that changes, it starts afresh.
CREATE TABLE cursor (
  rule     TEXT    PRIMARY KEY,
  schedule TEXT    NOT NULL,
  after    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- "Not tonight".
CREATE TABLE hold (
  id         INTEGER PRIMARY KEY,
  kind       TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  until      INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  by         TEXT    NOT NULL,
  removed_at INTEGER
) STRICT;

-- The outbox: one row per recipient, its bytes rendered once. They stand last, so that the other columns can be read
-- without them.
CREATE TABLE mail (
  id              INTEGER PRIMARY KEY,
  subject         TEXT    NOT NULL,
  recipient       TEXT    NOT NULL,
  message_id      TEXT    NOT NULL UNIQUE,
  created_at      INTEGER NOT NULL,
  state           TEXT    NOT NULL,
  attempts        INTEGER NOT NULL DEFAULT 0,
  next_attempt_at INTEGER NOT NULL,
  last_error      TEXT,
  done_at         INTEGER,
  bytes           BLOB    NOT NULL,
  CHECK (state IN ('queued', 'sent', 'dead')),
  CHECK ((state = 'queued') = (done_at IS NULL))
) STRICT;
CREATE INDEX mail_queued ON mail (next_attempt_at) WHERE state = 'queued';
CREATE INDEX mail_done ON mail (state, done_at);

-- What was sent once and must not be sent again: notices before a stop, reports over a period.
CREATE TABLE announced (
  kind TEXT    NOT NULL,
  name TEXT    NOT NULL,
  at   INTEGER NOT NULL,
  PRIMARY KEY (kind, name, at)
) STRICT, WITHOUT ROWID;
