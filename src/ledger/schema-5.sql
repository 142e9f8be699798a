-- Version 5 of the ledger: reasons are values. The sentences of earlier versions stay in `reason`, and are read into these
-- columns once, when a ledger is brought to this version.

-- The reason's code, and its data as JSON.
ALTER TABLE deployment ADD COLUMN reason_code TEXT;
ALTER TABLE deployment ADD COLUMN reason_detail TEXT;
-- Whether the rule selected the deployment, whatever left it.
ALTER TABLE deployment ADD COLUMN selected INTEGER NOT NULL DEFAULT 1;

-- JSON, a list for a run and one for a try.
ALTER TABLE run ADD COLUMN reasons TEXT NOT NULL DEFAULT '[]';
ALTER TABLE try ADD COLUMN cause TEXT;

-- How many deployments a run left without a row of their own. Where the reason is a status, `status` says which.
ALTER TABLE left_out RENAME TO left_out_4;
CREATE TABLE left_out (
  run         INTEGER NOT NULL REFERENCES run (id),
  reason_code TEXT    NOT NULL,
  status      TEXT    NOT NULL DEFAULT '',
  selected    INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  PRIMARY KEY (run, reason_code, status, selected),
  CHECK (count > 0),
  CHECK (selected IN (0, 1))
) STRICT, WITHOUT ROWID;
