"""What tables and dumps hold, as rows that a test can compare."""

from __future__ import annotations

import rov


def numbers(family, addresses):
    """The addresses of a column as ints."""
    words = addresses.tolist()
    return words if family == 4 else [high << 64 | low for high, low in words]


def rows_of(table):
    """(prefix, origin, peers) of each route of a RouteTable."""
    return [
        (str(rov.Prefix(columns.family, number, length)), origin, peers)
        for columns in (table.ipv4, table.ipv6)
        for number, length, origin, peers in zip(
            numbers(columns.family, columns.addresses),
            columns.lengths.tolist(),
            columns.origins.tolist(),
            columns.peers.tolist(),
            strict=True,
        )
    ]


def rows_of_dump(opened, batches):
    """(prefix, origin, address of the peer, path id, flags) of each row of an opened dump."""
    peers = [str(peer.address).split("/")[0] for peer in opened.peers]
    return [
        (
            str(rov.Prefix(batch.routes.family, number, int(batch.routes.lengths[i]))),
            int(batch.routes.origins[i]),
            peers[int(batch.peers[i])],
            int(batch.path_ids[i]),
            int(batch.flags[i]),
        )
        for batch in batches
        for i, number in enumerate(numbers(batch.routes.family, batch.routes.addresses))
    ]
