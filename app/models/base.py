"""The declarative base, the naming law of constraints, and the column types every table shares."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

from app import money

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

MONEY_DIGITS = 18
SUM_DIGITS = 30

Identifier = Annotated[str, mapped_column(Text(collation="C"))]
"""A caller's own id: compared byte for byte."""
Money = Annotated[Decimal, mapped_column(Numeric(MONEY_DIGITS, money.PLACES))]
MoneySum = Annotated[Decimal, mapped_column(Numeric(SUM_DIGITS, money.PLACES))]
"""Wider than one amount, so that a sum of the largest amounts cannot overflow."""
Instant = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
Counter = Annotated[int, mapped_column(BigInteger)]


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
