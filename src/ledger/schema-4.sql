-- Version 4 of the ledger.

-- After this a mail is of no use: a notice whose stop has begun must not be sent.
ALTER TABLE mail ADD COLUMN useless_from INTEGER;
