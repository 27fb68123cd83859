"""How fast are routes judged, given as Python objects or an Arrow table? Ours beside pytricia and py-radix.

    python -m benchmarks.scalar [--rounds 5] [--routes 200000]

The texts of the routes, in table order: one call a route, a list at once, and a table of texts and uint32.
All answers are compared.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

import click
import numpy as np
import pyarrow

import rov
from benchmarks import charts, measure
from benchmarks.peers import trees


def one_by_one(
    index: rov.VrpIndex, prefixes: Sequence[object], origins: Sequence[int]
) -> Callable[[], object]:
    """A loop that calls validate for each route."""
    pairs = list(zip(prefixes, origins, strict=True))

    def loop() -> None:
        validate = index.validate
        for prefix, origin in pairs:
            validate(prefix, origin)  # type: ignore[arg-type]

    return loop


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--routes", "count", default=200_000, show_default=True, type=click.IntRange(1))
def main(rounds: int, count: int) -> None:
    """Measure, print a table, write JSON and a chart."""
    began = measure.load_average()
    snapshot, name = measure.real_or_synthetic()
    table = measure.real_or_own_routes(snapshot)
    rows = np.sort(np.random.default_rng(measure.SHUFFLE_SEED).permutation(len(table.texts))[:count])
    # new objects, side by side in memory as they are when a table has just been read
    texts = [f"{table.texts[row]} "[:-1] for row in rows]
    origins = [int(str(table.origins[row])) for row in rows]
    index = rov.VrpIndex(snapshot)
    flat, own, tree = trees.flattened(snapshot), trees.own(snapshot), trees.radix_tree(snapshot)
    ours = index.validate_many(texts, origins)
    arrow = pyarrow.table({"prefix": texts, "origin": pyarrow.array(origins, pyarrow.uint32())})
    judged = index.validate_table(arrow).read_all()["state"].combine_chunks()
    measure.agree("validate_table", ours, judged.indices.to_numpy())
    measure.agree("validate", ours, [index.validate(*route) for route in zip(texts, origins, strict=True)])
    measure.agree("pytricia, flattened", ours, trees.flattened_states(flat, texts, origins))
    measure.agree("pytricia, parents", ours, trees.parent_states(own, texts, origins))
    measure.agree("py-radix", ours, trees.radix_states(tree, texts, origins))
    networks = [ipaddress.ip_network(text) for text in texts]
    prefixes = [rov.Prefix.parse(text) for text in texts]
    runs = {
        "rov, validate_many, texts": measure.timed(lambda: index.validate_many(texts, origins)),
        "rov, validate_table, Arrow": measure.timed(lambda: index.validate_table(arrow).read_all()),
        "rov, validate, text": measure.timed(one_by_one(index, texts, origins)),
        "rov, validate, rov.Prefix": measure.timed(one_by_one(index, prefixes, origins)),
        "rov, validate, ip_network": measure.timed(one_by_one(index, networks, origins)),
        "pytricia, chains flattened": measure.timed(lambda: trees.flattened_states(flat, texts, origins)),
        "pytricia, parent by parent": measure.timed(lambda: trees.parent_states(own, texts, origins)),
        "py-radix, search_covering": measure.timed(lambda: trees.radix_states(tree, texts, origins)),
    }
    found = measure.rates("table order", count, measure.in_turn(rounds, runs), us="rov, validate, text")
    measure.show_rates(found)
    measure.write("scalar", began, {"vrps": name, "routes": table.name, "rounds": rounds, "rows": found})
    charts.bars(
        measure.CHARTS / "scalar.png",
        "Routes judged, Python objects in",
        "million routes a second",
        [(row["question"], row["by"], row["million_per_second"]) for row in found],
    )


if __name__ == "__main__":
    main()
