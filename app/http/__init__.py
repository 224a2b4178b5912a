"""From a request to its operation and back: dispatch, sessions, problems, answers."""
