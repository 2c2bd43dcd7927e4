"""Configurations of other tools, read into a `routing.yaml`: LiteLLM, llama-swap, Ollama.

Owns: which tool wrote a file, what of it has a place here, and what is told of the rest.
Must not: write files or ask servers.
"""

from gateway.setup.importing.reading import NotReadable, Origin, Reading, read_foreign

__all__ = ["NotReadable", "Origin", "Reading", "read_foreign"]
