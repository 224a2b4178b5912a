"""Reports on ledger and facts as they are now: each is one question with one table for answer."""
