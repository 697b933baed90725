"""The pause of the search for cycles ends as it began, also after an error."""

from __future__ import annotations

import gc

import pytest

from harness.core.memory import collection_paused


def test_collection_goes_on_after_the_block_and_after_an_error():
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()
    with pytest.raises(KeyError), collection_paused():
        raise KeyError
    assert gc.isenabled()
