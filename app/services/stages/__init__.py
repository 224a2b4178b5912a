"""Where customers stand, how they came there, and the ledger of transitions."""
