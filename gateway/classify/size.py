"""How many tokens a prompt may have, and whether that is small, medium or large.

Owns: the estimate and its basis.
Must not: call a tokenizer: this runs on every request, an engine's own is asked elsewhere.

Basis: modern tokenizers of 100,000 to 260,000 entries (Qwen, Llama 3, Gemma) take about 4 bytes of
English and 3 bytes of other text in Latin, Cyrillic, Greek or Arabic letters per token, 1.4 signs
of Chinese, Japanese or Korean, and 3 to 4 bytes of Indic and South-East Asian scripts. Counting
UTF-8 bytes covers them with two ratios. Expect an error of a third either way; code and digits
come out low.
"""

from gateway.config.schema import SizeSection

BYTES_PER_TOKEN_ASCII = 4.0
BYTES_PER_TOKEN_OTHER = 3.0
TOKENS_PER_TURN = 4  # role and separators of a chat template
TOKENS_PER_IMAGE = 800
_SAMPLE_CHARS = 4_096


def tokens_of(text: str) -> int:
    """Return about how many tokens a text has; time does not grow with its length.

    A long text is judged by three samples of it.
    """
    if not text:
        return 0
    sample = text
    if len(text) > 3 * _SAMPLE_CHARS:
        middle = len(text) // 2
        sample = text[:_SAMPLE_CHARS] + text[middle : middle + _SAMPLE_CHARS]
        sample += text[-_SAMPLE_CHARS:]
    byte_count = len(sample.encode("utf-8", "replace"))
    ascii_count = len(sample.encode("ascii", "ignore"))
    other_count = byte_count - ascii_count
    tokens = ascii_count / BYTES_PER_TOKEN_ASCII + other_count / BYTES_PER_TOKEN_OTHER
    return round(tokens * len(text) / len(sample)) or 1


def request_size(prompt_tokens: int, sizes: SizeSection) -> str:
    """Return small, medium or large by the thresholds of `sizes:`."""
    if prompt_tokens < sizes.small_below:
        return "small"
    return "large" if prompt_tokens >= sizes.large_from else "medium"
