"""Readers of single file formats: bytes or text to parts in reading order.

They run without Django, most of them in a child process (`child.py`) with little memory, time and no
environment. What a part means for the knowledge base is `chatbot/parsing.py`'s business.
"""
