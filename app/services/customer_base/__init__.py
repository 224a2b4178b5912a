"""What facts amount to, for one customer or for all: summaries, columns, logs to learn from."""
