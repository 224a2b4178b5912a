"""Models and back-tests over HTTP."""
