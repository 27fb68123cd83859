"""docs/faults.md: each of its rows is a test."""

import os
from pathlib import Path

from tests.faults.cases import CASES, OTHER_CASES, PAGE, page


def test_the_page_tells_what_is_tested():
    """A run that writes it does so when it is over and each row has passed."""
    if os.environ.get("ROVKIT_WRITE") == "1":
        return
    assert PAGE.read_text() == page(), "run the tests in tests/faults with ROVKIT_WRITE=1"


def test_each_row_has_its_test():
    """Rows of a list are given to one test, one after the other; the rest is named by the mark of a test."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    lacking = [
        case.fault
        for case in OTHER_CASES
        if f"fault({case.fault!r}" not in tests and f'"{case.fault}"' not in tests
    ]
    assert not lacking
    assert len(CASES) > len(OTHER_CASES)
