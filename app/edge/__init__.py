"""Before a request is an operation: connections, keys, limits, bodies, and what is refused."""
