"""Files of any size, taken in line by line through the same doors as the facts of a bulk."""
