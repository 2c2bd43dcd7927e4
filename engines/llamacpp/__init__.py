"""The llama.cpp worker: one process, one model, OpenAI HTTP, continuous batching.

Owns: everything between llama.cpp's C API and a request.
Must not: know of other models or of the gateway.
"""
