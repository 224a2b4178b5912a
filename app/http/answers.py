"""Writes answers as JSON, long ones in pieces, so that other requests run in between."""

from typing import Any

from fastapi.exceptions import ResponseValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.services.common import threads

PIECE = 10
"""Items that are written at once: some milliseconds of the largest."""
_NONE = b'"items":[]'


class Answers:
    """Checks and writes the answers of one endpoint by their shape."""

    def __init__(self, field: Any, *, exclude_unset: bool) -> None:
        self._field = field
        self._exclude_unset = exclude_unset
        model = field.field_info.annotation
        self._items: TypeAdapter[Any] | None = None
        if isinstance(model, type) and issubclass(model, BaseModel) and not exclude_unset:
            items = model.model_fields.get("items")
            if items is not None and not items.metadata:
                self._items = TypeAdapter[Any](items.annotation)  # type: ignore[arg-type]

    async def to_json(self, answer: Any) -> bytes:
        """Return an answer as it is sent."""
        items = answer.get("items") if isinstance(answer, dict) else None
        if self._items is None or not isinstance(items, list) or len(items) <= PIECE:
            return self._whole(answer)
        # What is around the items holds an empty list in their place; in a text its quotes
        # would be escaped.
        around = self._whole({**answer, "items": []})
        before, _, after = around.partition(_NONE)
        pieces = []
        async for start in threads.in_turns(range(0, len(items), PIECE)):
            piece = self._checked(self._items, items[start : start + PIECE])
            pieces.append(self._items.dump_json(piece, by_alias=True)[1:-1])
        return b"".join((before, b'"items":[', b",".join(pieces), b"]", after))

    @staticmethod
    def _checked(shape: TypeAdapter[Any], items: list[Any]) -> Any:
        try:
            return shape.validate_python(items, from_attributes=True)
        except ValidationError as error:
            raise ResponseValidationError(errors=error.errors(), body=items) from None

    def _whole(self, answer: Any) -> bytes:
        value, faults = self._field.validate(answer, {}, loc=("response",))
        if faults:
            raise ResponseValidationError(errors=faults, body=answer)
        content: bytes = self._field.serialize_json(value, exclude_unset=self._exclude_unset)
        return content
