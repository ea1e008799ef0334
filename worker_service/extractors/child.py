"""The parser process: confines itself, then answers requests on its standard input, a socket, one after another.

Only the sandbox starts it, and nothing imports it. A request is a line, which says what is wanted and the length of the
file, and the file; a reply is its length in four bytes, and JSON. Wanted is the text of a content type, or the picture
of a PDF's page.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from base64 import b64encode
from datetime import datetime

from shared.errors import ExtractionError
from shared.filetype import DOCX, PDF, TEXT
from worker_service.extractors import Extraction, NoTextOnPagesError, docx, pdf, text
from worker_service.extractors.pdf_image import picture_of

_EXTRACTORS = {PDF: pdf.extract, DOCX: docx.extract, TEXT: text.extract}


def serve(*, memory_bytes: int, cpu_seconds: int, documents: int) -> None:
    """Answer that many requests, or fewer if the parent closes the socket or dies."""
    mapped_bytes = _mapped_bytes()
    _confine(address_space_bytes=mapped_bytes + memory_bytes)
    with socket.socket(fileno=0).makefile("rwb") as parent:
        parent.write(b"\n")
        parent.flush()
        for served in range(1, documents + 1):
            wanted, _, length = parent.readline().decode().partition(" ")
            if not length:
                return
            _allow_cpu(cpu_seconds)
            try:
                reply = _answer(wanted, parent.read(int(length)))
                # What one document left behind must not use up the memory of the next.
                cluttered = _mapped_bytes() > mapped_bytes + memory_bytes // 4
                reply["last"] = cluttered or served == documents
                encoded = json.dumps(reply, ensure_ascii=False, default=datetime.isoformat).encode()
            except MemoryError:
                # As PDFium does by itself; the parent names the limit.
                os.abort()
            parent.write(len(encoded).to_bytes(4) + encoded)
            parent.flush()


def _confine(*, address_space_bytes: int) -> None:
    os.environ.clear()
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    # macOS does not enforce it: there only the clock stops a bomb.
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    # What a parser prints may quote the document. Standard output is the null device already.
    os.dup2(1, 2)


def _mapped_bytes() -> int:
    if sys.platform != "linux":
        return 0
    # Unbuffered, and through a call or two, because it is asked after every document.
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    pages, _, _ = os.read(statm, 100).partition(b" ")
    os.close(statm)
    return int(pages) * resource.getpagesize()


def _allow_cpu(seconds: int) -> None:
    """Let the kernel end this process when the parent, which has the wall clock, no longer can."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


def _answer(wanted: str, data: bytes) -> dict[str, object]:
    try:
        if wanted.isdigit():
            return {"picture": b64encode(picture_of(data, int(wanted))).decode()}
        return {"extraction": _fields(_EXTRACTORS[wanted](data))}
    except NoTextOnPagesError as error:
        return {"code": error.code, "message": str(error), "extraction": _fields(error.found)}
    except ExtractionError as error:
        return {"code": error.code, "message": str(error)}


def _fields(found: Extraction) -> dict[str, object]:
    # Not dataclasses.asdict, which copies.
    return {name: getattr(found, name) for name in Extraction.__slots__}
