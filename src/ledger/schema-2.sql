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
