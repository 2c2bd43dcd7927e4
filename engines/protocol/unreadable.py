"""What decoding bytes from elsewhere may raise.

Owns: the list. Must not: decode.
"""

import msgspec

# No JSON, or not of the wanted shape; no UTF-8; nested too deeply.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
