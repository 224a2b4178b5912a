"""Numbers and money by a declared decimal sign; nothing is guessed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mappings.bad import Bad
from app.mappings.numbers import currency_of, exponent_of, money_of, number_reader, rate_of

POINT, COMMA = number_reader("."), number_reader(",")
NUMBERS = st.decimals(-(10**13), 10**13, places=3)


def grouped(number, group, decimal):
    text = f"{number:,.3f}"
    return text.replace(",", "G").replace(".", decimal).replace("G", group)


@given(NUMBERS, st.sampled_from([",", "", " ", "\u00a0", "\u202f", "'"]))
def test_numbers_come_back_in_any_grouping_with_a_point(number, group):
    assert POINT(grouped(number, group, ".")) == number


@given(NUMBERS, st.sampled_from([".", "", " ", "\u202f", "’"]),
       st.sampled_from(["", "€ ", "EUR ", "৳"]))  # fmt: skip
def test_numbers_come_back_in_any_grouping_with_a_comma(number, group, sign):
    assert COMMA(sign + grouped(number, group, ",")) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$ 86,400.00", "86400"), ("48,500.00", "48500"), ("8.64E4", "86400"),
        ("-750.00", "-750"),
        ("৳2,999", "2999"), ("(750.00)", "-750"), ("750-", "-750"), ("−5", "-5"),
        ("-$5.25", "-5.25"),
        ("$-5.25", "-5.25"), ("12 USD", "12"), ("1,23,456.5", "123456.5"), (".5", "0.5"),
        ("5.", "5"), ("1e3", "1000"), ("1'250", "1250"), ("0.00", "0"), ("+4", "4"),
        ("￥12", "12"), ("22.200000000000003", "22.200000000000003"),
    ],
)  # fmt: skip
def test_what_is_written_with_a_point(text, number):
    assert POINT(text) == Decimal(number)


def test_the_same_text_is_another_number_with_another_sign():
    assert (POINT("1.250"), COMMA("1.250")) == (Decimal("1.25"), Decimal(1250))


@pytest.mark.parametrize(
    "text",
    ["1,25", "1,2,3", "12,34.5", "1.2.3", "", "-", "abc", "1-2", "--5", "(5", "5)", "(-5)-", "１２",
     "1e999", "NaN", "Infinity", "0x10", "1_000", "5%off!!", "=1+1"],
)  # fmt: skip
def test_what_is_no_number_with_a_point(text):
    with pytest.raises(Bad) as bad:
        POINT(text)
    assert bad.value.code == "not_a_number"


@given(st.decimals(0, 10**13, places=4))
def test_money_is_told_to_the_last_digit(number):
    assert Decimal(money_of(number)) == number


def test_money_is_rounded_only_where_that_is_said():
    with pytest.raises(Bad) as bad:
        money_of(Decimal("22.200000000000003"))
    assert bad.value.code == "too_precise"
    assert money_of(Decimal("22.200000000000003"), 4) == "22.2000"
    assert money_of(Decimal("2.125"), 2) == "2.12"
    assert Decimal(money_of(Decimal("8.64E+4"))) == 86400
    assert "E" not in money_of(Decimal("8.64E+4"))
    with pytest.raises(Bad):
        money_of(Decimal("1e14"))


def test_rates_are_rounded_to_what_is_stored():
    assert rate_of(Decimal("129.60") / Decimal("120.00")) == "1.08"
    assert rate_of(Decimal(1) / Decimal(3)) == "0.3333333333"
    for number in ("0", "-1", "0.00000000001", "1e11"):
        with pytest.raises(Bad):
            rate_of(Decimal(number))


def test_currencies_are_codes_or_signs_of_one_alone():
    assert [currency_of(each) for each in ("usd", "EUR", "€", "£12.50", "R$")] == [
        "USD", "EUR", "EUR", "GBP", "BRL",
    ]  # fmt: skip
    for text in ("$", "¥", "kr", "dollars", "12.50"):
        with pytest.raises(Bad):
            currency_of(text)


def test_smallest_units_follow_their_currency():
    assert [exponent_of(each, {"ISK": 2}) for each in ("EUR", "JPY", "KWD", "ISK")] == [2, 0, 3, 2]


@pytest.mark.parametrize(("text", "currency"), [
    ("€ 12.50", "EUR"), ("12.50 EUR", "EUR"), ("¥12.50", "CNY"), ("¥12", "JPY"), ("$5", "CAD"),
    ("12 pcs", "EUR"), ("12.50", "EUR"),
])  # fmt: skip
def test_a_number_may_bear_the_sign_of_its_currency_or_another_word(text, currency):
    assert number_reader(".", currency)(text) == number_reader(".")(text)


@pytest.mark.parametrize(("text", "currency"), [
    ("¥12.50", "EUR"), ("$12.50", "EUR"), ("12.50 €", "USD"), ("usd 12.50", "EUR"), ("5元", "EUR"),
    ("-kr 5", "EUR"), ("(£5)", "EUR"),
])  # fmt: skip
def test_a_number_with_the_sign_of_another_currency_is_refused(text, currency):
    number_reader(".")(text)
    with pytest.raises(Bad) as refused:
        number_reader(".", currency)(text)
    assert refused.value.code == "other_currency"
