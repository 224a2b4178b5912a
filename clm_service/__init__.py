"""The name under which CLM is installed; `__main__` starts it."""
