-- Version 2 of the ledger.

-- When a person last said that the clock is right. What was claimed up to then proves nothing about the clock any more.
CREATE TABLE clock_mark (
  id  INTEGER PRIMARY KEY,
  at  INTEGER NOT NULL,
  -- The newest run at that time.
  run INTEGER NOT NULL,
  CHECK (id = 1)
) STRICT;
