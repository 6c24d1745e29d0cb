"""Recommends items from behaviour and from the words on the items, in real time."""
