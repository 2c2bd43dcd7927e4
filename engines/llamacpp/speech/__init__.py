"""What a model's text means: content, thoughts and tool calls, in the way its family writes them.

Owns: the families' formats, and reading them from text that arrives in any pieces.
Must not: know tokens, requests or the wire.
"""
