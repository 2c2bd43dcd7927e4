"""The relay: upstream connections, event streams, accounting.

Owns: one HTTP/1.1 client for engines (TCP and unix sockets) and the edits that an answer needs.
Must not: choose a model or a replica, or know what a client may do.
"""
