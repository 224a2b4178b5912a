"""The command `clm`: serving, keys, looking over, backup."""
