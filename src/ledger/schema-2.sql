-- Version 2 of the ledger.

-- How many deployments a run left without a row of their own, by the keyword of their reason.
CREATE TABLE left_out (
  run    INTEGER NOT NULL REFERENCES run (id),
  reason TEXT    NOT NULL,
  count  INTEGER NOT NULL,
  PRIMARY KEY (run, reason),
  CHECK (count > 0)
) STRICT, WITHOUT ROWID;

-- Chores that were begun and have not come to their end: a report, a notice, a round of settling. One that is still
-- here when it is begun again has ended the process, or panicked. `by_hand` is the command that does it instead.
CREATE TABLE chore (
  kind     TEXT    NOT NULL,
  name     TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  begun    INTEGER NOT NULL,
  begun_at INTEGER NOT NULL,
  by_hand  TEXT    NOT NULL,
  aside    INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (kind, name, at),
  CHECK (aside IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Tries of a run that could not list or ask everything, because AI Core or the ledger was away.
CREATE TABLE try (
  run    INTEGER NOT NULL REFERENCES run (id),
  number INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  reason TEXT    NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
-- When a person last said that the clock is right. What was claimed up to then proves nothing about the clock any more.
CREATE TABLE clock_mark (
  id  INTEGER PRIMARY KEY,
  at  INTEGER NOT NULL,
  -- The newest run at that time.
  run INTEGER NOT NULL,
  CHECK (id = 1)
) STRICT;
-- What several recipients are sent, kept once: a message without the lines that name one of them.
CREATE TABLE letter (
  id    TEXT PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
-- A message is the bytes of its mail, then those of its letter. A mail of version 1 has none: its bytes are the whole.
-- Some time after the end of a mail both are dropped.
ALTER TABLE mail ADD COLUMN letter TEXT REFERENCES letter (id);
CREATE INDEX mail_by_letter ON mail (letter) WHERE letter IS NOT NULL;
CREATE INDEX mail_with_words ON mail (done_at) WHERE done_at IS NOT NULL AND length(bytes) > 0;
-- What has to be looked at a second time, in the order in which it came up, so that nobody has to search the history for
-- it. A row leaves when its avoided cost is settled for good. Connection and end of the window are those of its run.
CREATE TABLE unsettled (
  number         INTEGER PRIMARY KEY AUTOINCREMENT,
  run            INTEGER NOT NULL,
  resource_group TEXT    NOT NULL,
  id             TEXT    NOT NULL,
  connection     TEXT    NOT NULL,
  window_to      INTEGER NOT NULL,
  UNIQUE (run, resource_group, id),
  FOREIGN KEY (run, resource_group, id) REFERENCES deployment (run, resource_group, id)
) STRICT;
-- A group's rows, by number.
CREATE INDEX unsettled_by_group ON unsettled (connection, resource_group);
CREATE INDEX unsettled_by_window ON unsettled (window_to);
INSERT INTO unsettled (run, resource_group, id, connection, window_to)
SELECT d.run, d.resource_group, d.id, r.connection, r.window_to
FROM run r JOIN deployment d ON d.run = r.id
WHERE NOT r.open AND r.mode = 'enforce' AND d.outcome IN ('stopped', 'unconfirmed')
  AND NOT EXISTS (SELECT 1 FROM settlement s WHERE s.run = d.run AND s.resource_group = d.resource_group
                  AND s.id = d.id AND NOT (s.leak_state IS NOT NULL AND s.settled_at < r.window_to))
ORDER BY r.window_to, r.id, d.resource_group, d.id;

-- Whether what a replacement goes on costing is counted already.
CREATE INDEX settlement_by_leak ON settlement (replacement) WHERE leak_state IS NOT NULL;
