"""CLM: customer lifecycle management. Facts in, lifecycle out."""

from importlib.metadata import version

__version__ = version("clm-service")
