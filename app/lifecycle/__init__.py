"""The stage machine, pure: rules as data, facts folded into states, states judged by the rules.

No I/O and no clock; nothing but numpy is imported. Days are integers (days since 1970-01-01 in
the deployment's zone), instants are integers (microseconds since the epoch), money is an integer
count of the smallest stored unit, so that every sum is exact.
"""
