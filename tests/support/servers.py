"""Real model servers of the matrix, each a child of the test on a free port.

All of them answer the same paths as far as each can: `/echo` (the request's body), `/stream` (chunks as
they are made), `/events` (SSE), `/empty` (204), `/same` (304), `/large` (1 MB), `/slow`, `/twice`
(one header twice), `/headers` (the request's headers as they came).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.children import child, eventually, free_port, listens, python

NGINX = """\
daemon off; master_process off; error_log stderr; pid {directory}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  client_max_body_size 200m; gzip on; gzip_min_length 1; gzip_types text/plain;
  server {{
    listen 127.0.0.1:{port};
    location /empty {{ return 204; }}
    location /twice {{ add_header Set-Cookie a=1; add_header Set-Cookie b=2; return 200 twice; }}
    location /headers {{ return 200 "$http_x_n"; }}
    location /same {{ return 304; }}
    location /echo {{ default_type application/json; return 200 '{{"n": 1}}'; }}
    location / {{ root {directory}/files; default_type text/plain; }}
  }}
}}
"""

LARGE = bytes(range(256)) * 4096


def command(server: str, port: int, directory: Path) -> list[str]:
    """How `server` is started on that port."""
    match server:
        case "uvicorn":
            return python("-m", "uvicorn", "tests.support.matrix_asgi:app", "--port", str(port),
                          "--log-level", "warning")  # fmt: skip
        case "aiohttp":
            return python("-m", "tests.support.matrix_aiohttp", str(port))
        case "gunicorn":
            return python("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8",
                          "--worker-class", "gthread", "--keep-alive", "30", "--log-level", "warning",
                          "--no-control-socket", "tests.support.matrix_wsgi:app")  # fmt: skip
        case "nginx":
            return ["nginx", "-c", str(directory / "nginx.conf"), "-p", str(directory)]
        case "node" | "http2":
            return ["node", str(Path(__file__).with_name(f"matrix_{server}.js")), str(port)]
        case "websockets":
            return python("-m", "tests.support.matrix_websockets", str(port))
    raise ValueError(server)


@contextlib.contextmanager
def serving(server: str, directory: Path) -> Iterator[int]:
    """A running server; its port."""
    port = free_port()
    directory.mkdir(exist_ok=True)
    if server == "nginx":
        (directory / "files").mkdir()
        (directory / "files" / "large").write_bytes(LARGE)
        (directory / "files" / "stream").write_text("part of a file\n" * 100)
        (directory / "nginx.conf").write_text(NGINX.format(directory=directory, port=port))
    with child(command(server, port, directory), directory / f"{server}.log"):
        eventually(lambda: listens(port), 20)
        yield port
