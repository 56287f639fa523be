"""The benchmark: the embedded engine against what the server itself can send, and against its peers.

``python -m bench --help`` says how to run it, ``bench/README.md`` how to read it.
"""
