"""Callers who ask for all scores and take next to nothing of the answer."""

import asyncio
import contextlib
import socket


async def hold(port: int, key: str, *, readers: int, seconds: float) -> None:
    """Hold so many connections for a while, with windows as small as there are."""
    request = (
        "GET /v1/scores HTTP/1.1\r\nHost: clm\r\nAccept: application/x-ndjson\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    held = []
    try:
        for _ in range(readers):
            one = socket.socket()
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.sock_connect(one, ("127.0.0.1", port))
                await loop.sock_sendall(one, request)
        await asyncio.sleep(seconds)
    finally:
        for one in held:
            one.close()
