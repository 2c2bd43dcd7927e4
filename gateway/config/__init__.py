"""Configuration: the frozen shape of `routing.yaml`, its loading and its cross-checks.

Owns: every word that a user may write in the file and every message about it.
Must not: start, reach or choose anything.
"""
