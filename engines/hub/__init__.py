"""Fetching weights: from a model hub in the Hugging Face protocol, or from a URL with a checksum.

Owns: what is asked of the network, what is fetched and checked, licences that people agree to.
Must not: print, decide what a configuration means, or be imported by what serves requests.
"""
