"""Types, fields and shapes that all resources share."""
