"""Use cases: plain async functions, each holding its own SQL. None commits."""
