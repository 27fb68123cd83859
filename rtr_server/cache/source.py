"""The seam between sessions and data, under the name that the rest of the daemon uses."""

from rtr_server.protocol.source import Response, Source, SourceState, Timing

__all__ = ["Response", "Source", "SourceState", "Timing"]
