"""CLM: customer lifecycle management. Facts in, lifecycle out."""
