"""Customers: locking or creating them for a write, finding and showing them."""
