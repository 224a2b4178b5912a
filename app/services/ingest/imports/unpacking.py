"""Unpacks a file as it arrives: gzip or zstd, known by its first bytes, or as it is.

Never more than a step of it is in memory, however small it was packed.
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

from backports import zstd

from app.errors import FieldError, MalformedRequest

STEP = 1_000_000
"""Bytes that are unpacked at a time."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS
_LAYERS = 2
"""How often a file may be packed: by who kept it, and by who sent it."""
_WINDOW = 27
"""What a zstd file may have its reader remember: 128 MB, as a power of two."""


class _Packed(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...
    def ended(self) -> bool: ...


class _Gzip:
    """The members of a gzip file, one after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_WITH_GZIP_HEADER)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_WITH_GZIP_HEADER)
            try:
                plain = self._member.decompress(data, STEP)
            except zlib.error:
                raise _corrupt("gzip") from None
            data = self._member.unused_data or self._member.unconsumed_tail
            if plain:
                yield plain

    def ended(self) -> bool:
        return self._member.eof


class _Zstd:
    """The frames of a zstd file, one after the other."""

    def __init__(self) -> None:
        self._frame = self._begin()

    def _begin(self) -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or not self._frame.needs_input:
            if self._frame.eof:
                if not data:
                    return
                self._frame = self._begin()
            try:
                plain = self._frame.decompress(data, STEP)
            except zstd.ZstdError:
                raise _corrupt("zstd") from None
            data = self._frame.unused_data if self._frame.eof else b""
            if plain:
                yield plain

    def ended(self) -> bool:
        return self._frame.eof


class Unpacker:
    """Unpacks what it is fed; `packed_with` says how it was packed, in order."""

    def __init__(self, layers: int = _LAYERS) -> None:
        self._layers = layers
        self.bytes_in = 0
        self._head = b""
        self._packed: _Packed | None = None
        self._inner: Unpacker | None = None
        self._name = ""
        self._begun = False

    @property
    def packed_with(self) -> list[str]:
        inner = [] if self._inner is None else self._inner.packed_with
        return [self._name, *inner] if self._name else []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is in a piece of the file, in steps; MalformedRequest where it is torn."""
        self.bytes_in += len(data)
        if not self._begun:
            self._head += data
            if len(self._head) < len(_ZSTD):
                return
            data = self._begin()
        yield from self._unpacked(data)

    def finish(self) -> Iterator[bytes]:
        """Yield what is left; raise MalformedRequest if the end is missing."""
        if not self._begun and self._head:
            yield from self._unpacked(self._begin())
        if self._packed is not None and not self._packed.ended():
            raise _corrupt(self._name)
        if self._inner is not None:
            yield from self._inner.finish()

    def _begin(self) -> bytes:
        self._begun = True
        if self._layers and self._head.startswith(_GZIP):
            self._name, self._packed = "gzip", _Gzip()
        elif self._layers and self._head.startswith(_ZSTD):
            self._name, self._packed = "zstd", _Zstd()
        if self._packed is not None:
            self._inner = Unpacker(self._layers - 1)
        head, self._head = self._head, b""
        return head

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._packed is None or self._inner is None:
            yield data
            return
        for plain in self._packed.feed(data):
            yield from self._inner.feed(plain)


def _corrupt(name: str) -> MalformedRequest:
    fault = FieldError("", name, f"the file is not whole, valid {name}")
    return MalformedRequest(f"The file is not whole, valid {name}", errors=[fault])
