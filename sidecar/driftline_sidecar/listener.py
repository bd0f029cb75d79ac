"""The listening socket: opened by the supervisor, shared with every worker, closed without losses.

A connection that the kernel has completed but nobody has accepted dies with the socket. So closing
takes three steps: `hold_new` lets no new handshake begin, the worker accepts what is already there
(a handshake under way needs one round trip more), then `stop` ends listening for all processes.
"""

from __future__ import annotations

import array
import contextlib
import errno
import socket
import struct
from typing import Final

from driftline_sidecar.settings import Address

HANDSHAKE_SECONDS: Final = 0.2
"""How long a handshake that began before `hold_new` may take to reach the backlog."""

_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)

_SO_ATTACH_FILTER: Final = 26
"""Linux; the socket module does not name it."""

_FILTER: Final = (
    (0x30, 0, 0, 13),  # load byte 13 of the TCP header: its flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN: a new handshake
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass whole
)
"""Classic BPF, (code, jump if true, jump if false, operand)."""


def listen(address: Address, backlog: int) -> socket.socket:
    """A non-blocking TCP socket that listens; raises OSError with the address in its message.

    An empty host listens on every interface, IPv4 and IPv6.
    """
    everywhere = not address.host
    family = socket.AF_INET6 if ":" in address.host or (everywhere and socket.has_ipv6) else socket.AF_INET
    try:
        sock = socket.create_server(
            (address.host, address.port),
            family=family,
            backlog=backlog,
            dualstack_ipv6=everywhere and family == socket.AF_INET6 and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if everywhere and error.errno in _NO_IPV6 and family == socket.AF_INET6:
            return listen(Address("0.0.0.0", address.port), backlog)  # noqa: S104 - asked for
        raise OSError(error.errno, f"can't listen on {address}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def hold_new(sock: socket.socket) -> None:
    """Let no new handshake begin; clients try again by themselves a second later.

    Where the kernel offers no socket filters nothing happens: closing then may reset a connection
    that arrives in the very moment.
    """
    code = array.array("B", b"".join(struct.pack("HBBI", *step) for step in _FILTER))
    program = struct.pack("HP", len(_FILTER), code.buffer_info()[0])
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def stop(sock: socket.socket) -> None:
    """End listening at once, also for processes that share the socket, and close this copy."""
    with contextlib.suppress(OSError):  # already stopped by the other process
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
