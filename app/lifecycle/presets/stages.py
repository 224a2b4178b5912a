"""The stages of all presets: names, roles, definitions, goals, and the sub-stages of prospects."""

from copy import deepcopy
from typing import Final

from app.lifecycle.presets.actions import ACTIONS
from app.lifecycle.presets.parts import Document, compare, had, option, text

_Words = tuple[str, str]


def _described(role: str, name: _Words, definition: _Words, *goals: _Words) -> Document:
    return {
        "name": text(*name),
        "role": role,
        "definition": text(*definition),
        "goals": [text(*goal) for goal in goals],
    }


_DESCRIBED: Final = {
    "potential": _described(
        "prospect",
        ("Potential", "潜在客户"),
        ("May be interested, and has not purchased yet", "可能感兴趣但尚未购买的客户"),
        ("Turn interest into the first purchase", "将潜在客户转化为初始客户"),
        ("Follow the decision to purchase", "关注潜在客户的购买决策过程"),
    ),
    "initial": _described(
        "customer",
        ("Initial", "初始客户"),
        ("Has purchased for the first time", "刚刚购买企业产品或服务的客户"),
        ("A good first experience", "提供良好的初次使用体验"),
        ("Win the second purchase", "促成再次购买"),
    ),
    "active": _described(
        "customer",
        ("Active", "活跃客户"),
        ("Purchases again and again", "频繁购买企业产品或服务的客户"),
        ("Keep satisfaction high", "保持客户满意度"),
        ("Purchases more often, and of more value", "提高购买频率和购买金额"),
    ),
    "loyal": _described(
        "customer",
        ("Loyal", "忠诚客户"),
        (
            "Has purchased often and for long, and wants to go on",
            "对企业高度认可，并愿意持续购买的客户",
        ),
        ("Reward loyalty", "回馈客户忠诚"),
        ("Recommendations and word of mouth", "通过客户推荐和口碑传播带来新客户"),
    ),
    "churned": _described(
        "churned",
        ("Churned", "流失客户"),
        ("Has purchased, and stopped", "由于各种原因停止购买的客户"),
        ("Learn why", "了解客户流失的原因"),
        ("Win the customer back", "挽回流失客户，重建忠诚度"),
    ),
    "new": _described(
        "customer",
        ("New", "新客户"),
        ("Has begun to purchase", "刚刚购买企业产品或服务的人群"),
        ("Help with the first steps", "帮助客户了解和使用产品"),
        ("Make purchasing a habit", "培养持续购买的习惯"),
    ),
    "mature": _described(
        "customer",
        ("Mature", "成熟客户"),
        ("Has purchased for long", "长期购买企业产品或服务的人群"),
        ("Keep loyalty, and notice its decline", "保持客户忠诚，及时发现流失迹象"),
        ("Raise the value of the relation", "提升客户价值"),
    ),
    "acquisition": _described(
        "prospect",
        ("Acquisition", "客户获取"),
        ("Is being won: no purchase yet", "正在争取、尚未购买的客户"),
        ("Win the first purchase", "促成首次购买"),
    ),
    "development": _described(
        "customer",
        ("Development", "客户发展"),
        ("Has purchased; the relation is being built", "已经购买、关系正在建立的客户"),
        ("Understand and meet needs", "了解并满足客户需求"),
        ("Deepen the relation", "深化客户关系"),
    ),
    "retention": _described(
        "customer",
        ("Retention", "客户保持"),
        ("Purchases steadily, and is to be kept", "稳定购买、需要保持的客户"),
        ("Keep satisfaction and loyalty", "保持客户满意度和忠诚度"),
        ("Keep the product up to date", "持续提供产品升级与维护"),
    ),
    "departure": _described(
        "churned",
        ("Departure", "客户离开"),
        ("Has stopped purchasing", "停止购买的客户"),
        ("Learn from the departure", "从客户离开中吸取教训"),
        ("Keep the way back open", "为客户回归创造条件"),
    ),
}

_DECISION: Final = (
    option("dormant", "Dormant", "沉睡", compare("days_since_interaction", ">", 365)),
    option("decided", "Decided", "已决策", had("decision")),
    option("quoted", "Quoted", "已报价", had("quote")),
    option("trial", "In trial", "试用中", {"any": [had("trial"), had("demo")]}),
    option("contacted", "Contacted", "已接触", compare("interactions", ">=", 1)),
)
"""How far the decision to purchase has come; the first that holds counts."""


def stage(code: str, *more: Document) -> Document:
    """Return a stage of its own, with actions besides the usual ones."""
    found = {
        "code": code,
        **_DESCRIBED[code],
        "actions": [*ACTIONS[code], *more],
    }
    if found["role"] == "prospect":
        found["sub_stages"] = list(_DECISION)
    return deepcopy(found)
