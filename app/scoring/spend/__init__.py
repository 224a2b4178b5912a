"""What a purchase is worth, and what a customer will be."""
