"""Who may call, and requests that may be sent again."""
