"""The gateway: weighs OpenAI-style requests and relays each to the right model.

Holds no weights; imports neither llama_cpp nor torch.
"""
