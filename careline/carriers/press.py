"""Papers as tagged PDF, by WeasyPrint (docs/decisions/0012). It needs Pango, which is a system library and may be absent."""

from __future__ import annotations

import ctypes
from functools import lru_cache

from careline.carriers.nobody import NotSetUp

# The libraries that WeasyPrint opens, and what brings them.
LIBRARIES = ("libgobject-2.0.so.0", "libpango-1.0.so.0", "libharfbuzz.so.0", "libharfbuzz-subset.so.0", "libfontconfig.so.1", "libpangoft2-1.0.so.0")
PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-liberation"


@lru_cache(maxsize=1)
def missing() -> str:
    """The first library that is not on this machine, or nothing. Asked without loading WeasyPrint, which takes a second."""
    for name in LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            return name
    return ""


class WeasyPrinter:
    """PDF/UA-1: tagged for screen readers, with its language and title. Nothing outside the document is ever fetched: no
    address in it, whoever wrote it, leads anywhere."""

    def pdf(self, html: str) -> bytes:
        if name := missing():
            raise NotSetUp(f"{name} is not on this machine")
        import weasyprint

        closed = weasyprint.urls.URLFetcher(allowed_protocols=())
        made: bytes = weasyprint.HTML(string=html, url_fetcher=closed).write_pdf(pdf_variant="pdf/ua-1")
        return made
