"""Observation: Prometheus metrics, throughput, access log.

Owns: every metric's name, help and labels.
Must not: change what is observed.
"""
