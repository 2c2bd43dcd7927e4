"""What the gateway adds to a request: direct against through, in one run.

Owns: the engine that answers at once, the load, the gateway under load, the figures.
Must not: be imported by what serves; print (`gateway.cli` does).
"""
