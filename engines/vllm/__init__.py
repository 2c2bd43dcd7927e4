"""vLLM as a process of ours: its command line, its weights, its parsers, its guard.

Owns: what is known of vLLM. Must not: import vLLM, which has an environment of its own.
"""
