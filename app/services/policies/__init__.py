"""The policies as they are stored, and the timeline of versions in force."""
