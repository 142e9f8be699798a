-- Version 2 of the ledger.

-- Tries of a run that could not list or ask everything, because AI Core or the ledger was away.
CREATE TABLE try (
  run    INTEGER NOT NULL REFERENCES run (id),
  number INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  reason TEXT    NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
