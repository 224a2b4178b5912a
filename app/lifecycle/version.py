"""The version of the rules by which facts become summaries, allocations and transitions."""

DERIVATION_VERSION = 4
"""To be raised with every release that derives something else from the same facts.

What is stored says by which version it was derived; what an older one derived is not gone on from,
and a rebuild in the background derives it anew.
"""
