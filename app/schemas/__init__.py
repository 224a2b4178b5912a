"""The shapes of the API."""
