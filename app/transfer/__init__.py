"""Files in and answers out on the command line: an HTTP client of a service."""
