"""PostgreSQL: connections and sessions, limits, schema, roles, errors, a server of our own."""
