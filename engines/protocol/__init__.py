"""The words that gateway and engines share: OpenAI's wire structs, error shape and event streams.

Owns: decoding requests, encoding answers, reading and writing event streams.
Must not: do I/O, know a model or an engine, import `gateway`.
"""
