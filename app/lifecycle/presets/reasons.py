"""Why customers leave: causes within the business and outside of it."""

from typing import Any, Final

_INTERNAL = (
    ("product", "The product did not fit", "产品不符合需求"),
    ("quality", "Product quality", "产品质量"),
    ("service", "Service quality", "服务质量"),
    ("price", "Price", "价格"),
    ("delivery", "Delivery", "交付与配送"),
    ("complaint_unresolved", "A complaint was not resolved", "投诉未解决"),
    ("relationship", "Lack of contact and care", "缺乏联系与关怀"),
)
_EXTERNAL = (
    ("competitor", "Went to a competitor", "转向竞争对手"),
    ("market", "The market changed", "市场变化"),
    ("need_ended", "The need is gone", "需求消失"),
    ("life_change", "Life changed", "生活变化"),
    ("relocation", "Moved away", "搬迁"),
    ("business_closed", "The business closed", "企业停业"),
    ("budget", "Budget was cut", "预算缩减"),
)
_UNKNOWN = (("unknown", "Unknown", "原因不明"),)
_BRANCHES = {"internal": _INTERNAL, "external": _EXTERNAL, "unknown": _UNKNOWN}

CHURN_REASONS: Final[tuple[dict[str, Any], ...]] = tuple(
    {"code": code, "branch": branch, "name": {"en": en, "zh": zh}}
    for branch, reasons in _BRANCHES.items()
    for code, en, zh in reasons
)
