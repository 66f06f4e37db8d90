"""What a test says of the outputs of a batch."""

from __future__ import annotations

from datetime import datetime

import pytest

from dstreams.testing.result import BatchResult

RESULT = BatchResult(datetime(2000, 1, 1), {"pprint": [1, 2], "pprint_2": None})


def test_outputs_of_the_same_name_are_keywords_too() -> None:
    assert RESULT.expect(pprint=[2, 1], pprint_2=None) is RESULT.expect([1, 2], None)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(AssertionError) as caught:
        RESULT.expect(pprint=[1, 3], pprint_3=[1])
    assert str(caught.value) == (
        "batch 2000-01-01 00:00:00: pprint: missing [3], not expected [2], all of it [1, 2]; "
        "no output 'pprint_3'; the program has: 'pprint', 'pprint_2'"
    )
    with pytest.raises(KeyError, match="no output 'pprint_3'; the program has"):
        RESULT["pprint_3"]
