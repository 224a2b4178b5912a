"""What customers are worth and who is about to leave: cards, lists, streams, reasons."""
