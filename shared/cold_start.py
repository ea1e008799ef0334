"""What makes a Lambda function's process start sooner."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

_CA_FILE = "SSL_CERT_FILE"


@contextmanager
def importing() -> Iterator[None]:
    """Around a function's imports, which are most of its start.

    What is imported stays: collecting garbage in between finds none.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def trusting_nobody() -> Iterator[None]:
    """Around the import of aiohttp, which reads all the system's CA certificates into a context of its own.

    botocore brings its own certificates for its own context. For whoever else asks by aiohttp nobody is trusted
    afterwards, so this is not for a function that runs what others have written.
    """
    certificates = os.environ.get(_CA_FILE)
    os.environ[_CA_FILE] = os.devnull
    try:
        yield
    finally:
        del os.environ[_CA_FILE]
        if certificates is not None:
            os.environ[_CA_FILE] = certificates
