-- Version 2 of the ledger.

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
