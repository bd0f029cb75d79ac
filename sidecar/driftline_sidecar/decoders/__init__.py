"""From exchanges to columns: one module per wire protocol, the rest shared.

`decoder.Decoder` is what the analyzer uses. A protocol turns a request's body into rows and a response's
into answers; `columnise` makes a `Batch` of many exchanges at once. What can't be decoded is counted by
reason and never raises past its exchange.
"""

from driftline_sidecar.decoders.decoder import Decoded, Decoder
from driftline_sidecar.decoders.discovery import discover
from driftline_sidecar.decoders.failure import DecodeError, Failure

__all__ = ["DecodeError", "Decoded", "Decoder", "Failure", "discover"]
