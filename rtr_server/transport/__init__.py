"""Thin shells that carry the octets of `rtr_server.protocol` over a network."""
