"""纷享销客: answers of `data/query`, or a CSV with the same names of fields."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.header import (
    Header,
    Said,
    among,
    constant,
    either,
    filters,
    known,
    none_of,
    starts,
)
from app.mappings.presets.preset import (
    DECIMAL,
    EXTRA,
    HOLDS_FROM,
    UNDATED,
    Parameter,
    Preset,
    extra,
    source,
    tests,
    zone,
)

_IGNORED: Final = [
    "*__l", "owner*", "created_by*", "last_modified*", "relevant_team*", "data_own_department*",
    "lock_status", "version", "record_type*", "location", "is_deleted", "life_status*",
    "create_time", "last_followed_time", "last_deal_closed_time", "submit_time",
]  # fmt: skip
_MILLISECONDS: Final = {"read_as": "milliseconds"}
_LIVES: Final = Parameter(
    "life_statuses",
    "list",
    "Which values of `life_status` mean that a record is in force?",
    default=("normal", "in_change"),
)


def _document(name: str, answers: Mapping[str, Any], **more: Any) -> Said:
    return {
        "name": name,
        "source": answers["source"],
        "times": {"zone": answers["time_zone"]},
        "amounts": {"decimal": answers["decimal_sign"]},
        "ignored": _IGNORED,
        **more,
    }


def _left_out(header: Header, answers: Mapping[str, Any], *names: str) -> list[tuple[str, Any]]:
    """Return the filters that all objects have: deleted, not in force, tests by these columns."""
    in_force = ["", *answers["life_statuses"]]
    words = answers["test_words"]
    return [
        ("deleted", among(header.find("is_deleted"), ["true", "1"])),
        ("not_in_force", none_of(header.find("life_status"), in_force)),
        ("test_record", either(*(starts(header.find(name), words) for name in names))),
    ]


def _since(header: Header, answers: Mapping[str, Any]) -> Said | None:
    modified = answers["profiles_hold_from"] == "modified"
    return header.value("last_modified_time", **_MILLISECONDS) if modified else None


def _profile(header: Header, answers: Mapping[str, Any], **fields: Said | None) -> Said:
    return known(
        customer_id=header.value("_id"),
        **fields,
        name=header.value("name"),
        email=header.value("email"),
        owner=header.value("owner__r.name", "owner__r"),
        first_contact_at=header.value("create_time", **_MILLISECONDS),
        valid_from=_since(header, answers),
    )


def accounts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of AccountObj: companies, and persons by their type of record."""
    persons = dict.fromkeys(answers["person_record_types"], "person")
    fields = _profile(
        header,
        answers,
        kind=header.value("record_type", translate={**persons, "*": "company"}, default="company"),
        phone=header.value("tel", "mobile"),
        country=header.value("country__r"),
        region=header.value("province__r"),
        city=header.value("city__r"),
        industry=header.value("industry_level1__r", "industry_level1"),
        acquisition_channel=header.value(
            "account_source__o", "account_source__r", "account_source"
        ),
        parent_customer_id=header.value("parent_account_id"),
    )
    rule = {"fact": "customers", "fields": fields, "rest": True, "attributes": extra(answers)}
    left = filters(*_left_out(header, answers, "name"))
    return _document("AccountObj of 纷享销客", answers, filters=left, facts=[rule])


def contacts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of ContactObj: persons, who belong to their account."""
    fields = _profile(
        header,
        answers,
        kind=constant("person"),
        phone=header.value("mobile1", "tel1", "mobile", "tel"),
        gender=header.value("gender__r", "gender"),
        birth_date=header.value("date_of_birth", **_MILLISECONDS),
        occupation=header.value("job_title"),
        parent_customer_id=header.value("account_id"),
    )
    rule = {"fact": "customers", "fields": fields, "rest": True, "attributes": extra(answers)}
    left = filters(*_left_out(header, answers, "name"))
    return _document("ContactObj of 纷享销客", answers, filters=left, facts=[rule])


def orders(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of SalesOrderObj: confirmed orders are purchases of their account."""
    common = known(
        customer_id=header.value("account_id"),
        occurred_at=header.value("order_time", **_MILLISECONDS),
        currency=header.value("mc_currency"),
        exchange_rate=header.value("mc_exchange_rate"),
        revision=header.value("version", if_bad="leave_out"),
    )
    purchase = known(
        **common,
        transaction_id=header.value("_id"),
        amount=header.value("order_amount"),
        channel=header.value("resource__r", "resource"),
    )
    left_out = answers["left_out_order_statuses"]
    left = filters(
        *_left_out(header, answers, "account_id__r", "remark"),
        ("not_confirmed", either(among(header.find("order_status__r"), left_out),
                                 among(header.find("order_status"), left_out))),
    )  # fmt: skip
    rules: list[Said] = [
        {"fact": "transactions", "fields": purchase, "rest": True, "attributes": extra(answers)}
    ]
    notices: list[Said] = []
    column = header.find("refund_amount")
    if column is not None:
        given_back = {"column": column, "sign": "positive"}
        if answers["undated_refunds"] == "at_order":
            rules.append(_refund(common, column, given_back))
        else:
            text = "its refund has no date, and is left out: the purchase stays gross"
            notices.append({"code": "undated_refund", "when": given_back, "text": text})
    home = answers["home_currency"]
    return _document(
        "SalesOrderObj of 纷享销客",
        answers,
        filters=left,
        notices=notices,
        facts=rules,
        amounts={"decimal": answers["decimal_sign"], "currency": home, "rates_to": home},
    )


def _refund(common: Said, column: str, given_back: Said) -> Said:
    fields = {
        **common,
        "kind": constant("refund"),
        "transaction_id": {"column": "_id", "prefix": "refund:"},
        "refunds_transaction_id": {"column": "_id"},
        "amount": {"column": column},
    }
    return {"fact": "transactions", "when": given_back, "fields": fields}


_COMMON: Final = (zone("Asia/Shanghai"), source("fxiaoke"), DECIMAL, _LIVES, EXTRA)
_SURE: Final = "names of fields of ContactObj and mc_*, and codes of options, differ by firm"
PRESETS: Final = (
    Preset(
        "fxiaoke_accounts",
        "AccountObj 客户 of 纷享销客",
        ("customers",),
        (("_id",), ("name",), ("account_no", "deal_status", "account_level", "account_source")),
        accounts,
        (
            *_COMMON,
            HOLDS_FROM,
            tests("测试", "test"),
            Parameter("person_record_types", "list", "Which types of record are persons?",
                      default=("record_person__c",), column="record_type"),
        ),
        ("account_no", "life_status", "deal_status", "create_time", "version"),
        _SURE,
    ),
    Preset(
        "fxiaoke_contacts",
        "ContactObj 联系人 of 纷享销客",
        ("customers",),
        (("_id",), ("name",), ("account_id",), ("mobile1", "job_title", "primary_contact", "tel1")),
        contacts,
        (*_COMMON, HOLDS_FROM, tests("测试", "test")),
        ("mobile1", "job_title", "life_status", "create_time", "version"),
        _SURE,
    ),
    Preset(
        "fxiaoke_orders",
        "SalesOrderObj 销售订单 of 纷享销客",
        ("transactions",),
        (("_id",), ("account_id",), ("order_time",), ("order_amount",)),
        orders,
        (
            *_COMMON,
            tests("测试", "test"),
            UNDATED,
            Parameter("left_out_order_statuses", "list",
                      "Which states of an order, by label or code, are no sale?",
                      default=("确认中", "已作废", "6", "99"), column="order_status__r"),
            Parameter("home_currency", "currency", "In which currency are orders without one?",
                      default="CNY"),
        ),
        ("order_status", "life_status", "receivable_amount", "create_time", "version"),
        _SURE,
    ),
)  # fmt: skip
