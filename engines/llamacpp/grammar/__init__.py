"""Answers that hold to a grammar: JSON Schema, regular expressions, choices, Lark, tool calls.

Owns: from a request's wish to the mask of the tokens that may come next.
Must not: evaluate, draw tokens, or read what was said.
"""
