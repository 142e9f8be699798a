-- Version 2 of the ledger.

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
