"""Search over vectors and words: indexes that are built, searched, saved and loaded whole.

Numpy in, numpy out. Knows no framework, no encoder and no app: callers bring vectors and keys.
"""
