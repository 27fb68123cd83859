"""The OpenAPI document: the routes that there are and no others; the whole API under schemathesis."""

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from starlette.routing import Route

from rtr_server.web import deltas
from rtr_server.web.bulk import NAMES
from rtr_server.web.openapi import document
from tests.web.conftest import SMALL


def declared():
    """Paths with their methods, as the document has them."""
    return {(path, method.upper()) for path, item in document()["paths"].items() for method in item}


def there(running):
    """What is answered, without HEAD and pages."""
    starlette = running.cache.http._web.app._app
    found = set()
    for route in starlette.routes:
        if not getattr(route, "include_in_schema", False):
            continue  # what only tells how to ask
        if isinstance(route, Route) and not route.endpoint.__module__.startswith("rtr_server.web.pages"):
            path = route.path.replace(":path}", "}")
            found |= {(path, method) for method in route.methods - {"HEAD"}}
    return found


def test_the_document_has_the_routes_that_there_are(small):
    answer = small.client.get("/api/v1/openapi.json")
    assert answer.json() == document()
    assert declared() == there(small)


def test_a_token_is_told_of(run_daemon, tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef")
    with run_daemon(SMALL, {"http": {"token": str(tmp_path / "token")}}) as running:
        known = {"Authorization": "Bearer 0123456789abcdef"}
        found = running.client.get("/api/v1/openapi.json", headers=known).json()
        assert found["security"] == [{"token": []}]


EXAMPLES = 5
"""Of each path and method; more find no more and take their time."""


def test_nothing_that_fits_the_document_makes_it_stumble(run_daemon, tmp_path, monkeypatch):
    """Questions made from the document, and ones that break it, from schemathesis: of every path."""
    monkeypatch.setattr(deltas, "POLL", 0.05)
    (tmp_path / "rib.csv").write_text("prefix,origin\n192.0.2.0/24,64496\n")

    @schemathesis.serializer(*NAMES.values())
    def octets(context, value):
        return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")

    with run_daemon(SMALL, {"http": {"rib": [str(tmp_path / "rib.csv")]}}) as running:
        running.until(lambda: running.daemon.rib.table is not None)
        schema = schemathesis.openapi.from_dict(document())
        schema.config.update(base_url=running.url)
        seen = set()
        for operation in (found.ok() for found in schema.get_all_operations()):
            modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
            for mode in modes:

                @given(case=operation.as_strategy(generation_mode=mode))
                @settings(
                    max_examples=EXAMPLES,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                def ask(case):
                    answer = case.call(timeout=30)
                    assert answer.status_code < 500, (case.method, case.path, answer.text)
                    if answer.status_code >= 400:
                        assert answer.headers["content-type"] == ["application/problem+json"]
                    seen.add((case.path, case.method, answer.status_code))

                try:
                    ask()
                except Exception as error:
                    if "Unsatisfiable" in type(error).__name__:
                        continue
                    raise
        answered = {path for path, _, status in seen if status == 200}
        assert answered > {"/json", "/json-delta/notify", "/api/v1/status", "/api/v1/validity/{asn}/{prefix}"}
        assert {(path, method) for path, method, _ in seen} == declared()
