"""llhttp, as locust's own HTTP client brings it, for the heads of responses; imported by the generator alone."""

from __future__ import annotations

from geventhttpclient._parser import HTTPResponseParser

from loadtest.framing import Framing

__all__ = ["Head", "new_framing"]

LEADS: dict[int, bytes] = {}


class Head(HTTPResponseParser):
    """llhttp for one response head; see loadtest.framing.HeadParser."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: dict[str, str] = {}
        self._name = ""
        self._in_value = True

    @property
    def status(self) -> int:
        """The response's status."""
        return int(self.get_code())

    def _on_header_field(self, text: str) -> None:
        self._name = text.lower() if self._in_value else self._name + text.lower()
        self._in_value = False

    def _on_header_value(self, text: str) -> None:
        self.headers[self._name] = self.headers.get(self._name, "") + text if self._in_value else text
        self._in_value = True

    def _on_headers_complete(self) -> bool:
        return True  # the body is not its business

    def _on_message_begin(self) -> None: ...

    def _on_message_complete(self) -> None: ...

    def _on_status(self, _text: str) -> None: ...

    def _on_body(self, _data: bytes) -> None: ...


def new_framing() -> Framing:
    """The framing of one response."""
    return Framing(Head, LEADS)
