"""How the hub's certificate is checked: by the authorities of the installation's own."""

from __future__ import annotations

import ssl
from collections.abc import Callable


class HubTls:
    """`bundle`: the authorities as they are now, PEM; made into a context once for each change."""

    def __init__(self, bundle: Callable[[], bytes]) -> None:
        self._bundle = bundle
        self._known = b""
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """None while there is no authority: the machine's own are asked then."""
        bundle = self._bundle()
        if bundle != self._known:
            self._context = (
                ssl.create_default_context(cadata=bundle.decode("ascii", "replace")) if bundle else None
            )
            self._known = bundle
        return self._context
