"""The RTR protocol without input or output: bytes and times go in, bytes, events and deadlines come out.

``pdu`` and ``errors`` are the wire format of versions 0, 1 and 2; ``session`` is the cache's end of a
connection, ``client`` the router's; ``source`` is the seam where a session finds its data.
"""
