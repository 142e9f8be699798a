-- Version 3 of the ledger.

-- Which configuration the daemon goes by: the digest of the files as it read them.
CREATE TABLE in_force (
  id          INTEGER PRIMARY KEY,
  fingerprint TEXT    NOT NULL,
  read_at     INTEGER NOT NULL,
  CHECK (id = 1)
) STRICT;
