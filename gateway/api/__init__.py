"""HTTP: the endpoints, what they read and what they write.

Owns: bodies in, answers out, the OpenAPI document.
Must not: choose models, talk to engines, check keys (`gateway.middleware` does).
"""
