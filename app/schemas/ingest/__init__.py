"""Facts as they come in and go out, and all of them as one list."""
