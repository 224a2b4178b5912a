"""Compressed bytes inflated in blocks of bounded size."""

import sys
import zlib
from collections.abc import Iterator
from typing import Final, Literal, Protocol

from app.mappings.faults import UnreadableFile
from app.mappings.rows import Limits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression = Literal["none", "gzip", "zstd"]
BLOCK: Final = 65_536
_SLICE: Final = 8_192
"""What is handed to the library at once: it copies what it has not come to."""
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LARGEST_WINDOW: Final = 25
"""Binary logarithm of what zstd may look back, 32 MiB: `zstd -19` needs 8, `--ultra` more."""


def compression_of(head: bytes) -> Compression:
    """Return how bytes are compressed, by their first ones."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else "none"


class _Stream(Protocol):
    """What inflates one member of a file."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Gzip:
    """A member of gzip, spoken to as one of zstd."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


def _zstd() -> _Stream:
    limit: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW}
    return zstd.ZstdDecompressor(options=limit)


class Inflater:
    """Inflates a file that comes in pieces."""

    def __init__(self, compression: Compression, limits: Limits) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self._new = {"gzip": _Gzip, "zstd": _zstd}.get(compression)
        self._stream: _Stream | None = None
        self._limits = limits

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Return what a piece inflates to, in blocks."""
        self.bytes_in += len(piece)
        if self._new is None:
            for start in range(0, len(piece), BLOCK):
                yield self._counted(piece[start : start + BLOCK])
            return
        for start in range(0, len(piece), _SLICE):
            yield from self._inflate(piece[start : start + _SLICE])

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        assert self._new is not None
        while piece or self._stream is not None:
            if self._stream is None:
                self._stream = self._new()
            try:
                block = self._stream.decompress(piece, BLOCK)
            except (zlib.error, zstd.ZstdError) as error:
                raise UnreadableFile("compression", "the compressed data are damaged") from error
            piece = b""
            if block:
                yield self._counted(block)
            if self._stream.eof:
                # Members may follow each other; zeros that fill up the last one mean nothing.
                piece = self._stream.unused_data.lstrip(b"\0")
                self._stream = None
            elif not block:
                return

    def finish(self) -> None:
        """Say whether the end is one."""
        if self._stream is not None:
            raise UnreadableFile(
                "truncated",
                "the compressed file ends before its end",
                "what came before was read; send the rest, or the file again",
            )

    def _counted(self, block: bytes) -> bytes:
        self.bytes_out += len(block)
        total, limits = self.bytes_out, self._limits
        bomb = total > limits.free and total > limits.ratio * self.bytes_in
        if bomb or (limits.total is not None and total > limits.total):
            raise UnreadableFile(
                "decompression_bomb", f"the file inflates to more than {total - len(block)} bytes"
            )
        return block


def inflate_head(head: bytes, most: int) -> tuple[Compression, bytes]:
    """Return how a file is compressed, and its first bytes inflated."""
    compression = compression_of(head)
    found = b""
    for block in Inflater(compression, Limits()).feed(head):
        found += block
        if len(found) >= most:
            break
    return compression, found
