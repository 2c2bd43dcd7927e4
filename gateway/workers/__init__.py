"""Several processes that are one gateway: a parent owns the fleet, its workers relay.

Owns: the words between them, the parent's desk for each worker, the worker's picture of the fleet.
Must not: decide anything of its own: the parent decides as a gateway of one process does.

| who | has |
|---|---|
| parent | engines, residency, health, limits, queues, breakers, metrics, the file, the listener |
| worker | clients' connections, weighing and choosing, connections to engines, streams |
"""
