"""What the document shows of values that are taken, or given, as they come."""

from functools import cached_property
from typing import Any

from pydantic import GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class ShownAs:
    """Shows in the document what is taken as it comes."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    @cached_property
    def _schema(self) -> CoreSchema:
        return TypeAdapter(self.kind).core_schema

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(self._schema)
