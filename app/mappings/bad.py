"""A value that cannot be read."""


class Bad(Exception):
    """A value that cannot be read, caught where it is known what becomes of its row."""

    def __init__(self, code: str, detail: str, column: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        """One of `faults.ROW_CODES`."""
        self.detail = detail
        self.column = column
