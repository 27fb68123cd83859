"""Clients of a cache: the mirror that dumps its set."""
