"""Families of metrics by their declared kinds and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, UnknownMetricFamily

from rtr_server.web.metric_names import ALL

Values = Mapping[Any, float]
"""Tuples of label values to value."""

_KINDS: dict[str, Any] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "unknown": UnknownMetricFamily,
}


def family(name: str, values: Values) -> Metric:
    """A family by its declared kind and labels.

    >>> family("rovkit_serial", {(): 7}).samples[0].value
    7
    """
    declared = ALL[name]
    made: Metric = _KINDS[declared.kind](name, declared.meaning, labels=declared.labels)
    for labels, value in values.items():
        made.add_metric([_clean(label) for label in labels], value)  # type: ignore[attr-defined]
    return made


def one(name: str, value: float) -> Metric:
    """A family of one value without labels.

    >>> one("rovkit_serial", 7).name
    'rovkit_serial'
    """
    return family(name, {(): value})


def _clean(label: str) -> str:
    """Names come from files and peers: what is no UTF-8 must not spoil the page."""
    return label.encode("utf-8", "replace").decode()
