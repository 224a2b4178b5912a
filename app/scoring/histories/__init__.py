"""What is known of buyers: logs of purchases as summaries, and features at a day."""
