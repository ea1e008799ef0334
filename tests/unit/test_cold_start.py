"""What imports go without comes back, whatever becomes of them."""

from __future__ import annotations

import gc
import os
from contextlib import suppress

import pytest

from shared.cold_start import importing, trusting_nobody

FILE = "SSL_CERT_FILE"


@pytest.mark.parametrize("certificates", [None, "/etc/own.pem"])
@pytest.mark.parametrize("failing", [False, True])
def test_imports_collect_no_garbage_and_read_no_certificates(
    certificates: str | None, failing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if certificates is None:
        monkeypatch.delenv(FILE, raising=False)
    else:
        monkeypatch.setenv(FILE, certificates)
    with suppress(ImportError), importing(), trusting_nobody():
        assert (gc.isenabled(), os.environ[FILE]) == (False, os.devnull)
        if failing:
            raise ImportError
    assert (gc.isenabled(), os.environ.get(FILE)) == (True, certificates)
