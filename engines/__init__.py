"""Everything that runs or describes an engine: kinds, workers, child processes, weights, families.

Imports nothing of `gateway`.
"""
