"""The ready policies, as documents that `documents.parse` reads; the first is the default.

They name no model: each decides by the customer's own facts and profile.
"""

from typing import Final

from app.lifecycle.presets import rules
from app.lifecycle.presets.actions import CONTRACT_ACTIONS
from app.lifecycle.presets.parts import Document, text
from app.lifecycle.presets.reasons import CHURN_REASONS
from app.lifecycle.presets.stages import stage

__all__ = ["CHURN_REASONS", "PRESETS"]

NO_SILENCE_DAYS: Final = 3_650
"""Longer than the gap between two payments of any usual contract."""


def _document(
    name: dict[str, str],
    description: dict[str, str],
    *,
    stages: list[Document],
    decides: list[Document],
    transitions: rules.Transitions,
    floor_days: int,
) -> Document:
    return {
        "name": name,
        "description": description,
        "stages": stages,
        "inactivity_limit": {"floor_days": floor_days, "gap_multiple": 3, "gap_margin_days": 365},
        "rules": decides,
        "transitions": transitions,
    }


def _five(
    name: dict[str, str],
    description: dict[str, str],
    *,
    floor_days: int,
    loyal: tuple[int, int],
    churned: list[Document] | None = None,
    more: tuple[Document, ...] = (),
) -> Document:
    """Return five stages; `loyal` asks for purchase days of this life, and for tenure."""
    return _document(
        name,
        description,
        stages=[
            stage("potential"),
            *(stage(code, *more) for code in ("initial", "active", "loyal")),
            stage("churned"),
        ],
        decides=[
            *(churned or []),
            rules.never_purchased("potential"),
            *([] if churned else [rules.silent("churned")]),
            rules.lasting("loyal", *loyal),
            rules.repeated("active"),
            rules.otherwise("first_purchase", "initial"),
        ],
        transitions=rules.five_transitions(),
        floor_days=floor_days,
    )


def _by_silence(
    name: dict[str, str], purpose: dict[str, str], *, floor_days: int, loyal: tuple[int, int]
) -> Document:
    """Return five stages left by silence, which tell their bounds after their purpose."""
    often, long = loyal
    bounds = text(
        f" At least {floor_days} days of silence are allowed, more to who usually purchases less "
        f"often. Loyal from {often} purchase days and {long} days since the first purchase on.",
        f"至少允许沉默{floor_days}天，惯常间隔较长者更长；购买天数不少于{often}天且首次购买距今"
        f"不少于{long}天为忠诚客户。",
    )
    description = {language: purpose[language] + bounds[language] for language in bounds}
    return _five(name, description, floor_days=floor_days, loyal=loyal)


def _four(
    name: dict[str, str],
    description: dict[str, str],
    codes: tuple[str, str, str, str],
    *,
    late: tuple[int, int],
) -> Document:
    """Return four stages, of which `late` is reached by purchase days and tenure."""
    prospect, early, lasting, left = codes
    return _document(
        name,
        description,
        stages=[stage(code) for code in codes],
        decides=[
            rules.never_purchased(prospect),
            rules.silent(left),
            rules.lasting(lasting, *late),
            rules.otherwise("purchased", early),
        ],
        transitions=rules.four_transitions(*codes),
        floor_days=180,
    )


PRESETS: Final[dict[str, Document]] = {
    "five_stages": _by_silence(
        text("Five stages", "五期管理"),
        text(
            "The default: potential, initial, active, loyal, churned.",
            "默认策略：潜在客户、初始客户、活跃客户、忠诚客户、流失客户。",
        ),
        floor_days=180,
        loyal=(5, 180),
    ),
    "four_stages": _four(
        text("Four stages", "四阶段"),
        text(
            "Potential, new, mature, churned. Mature is who purchased on 3 days or more and first "
            "did 90 days ago or earlier; there is no stage of its own for active customers.",
            "潜在客户、新客户、成熟客户、流失客户。购买天数不少于3天且首次购买距今不少于90天为成熟客户；"
            "不单设活跃客户。",
        ),
        ("potential", "new", "mature", "churned"),
        late=(3, 90),
    ),
    "four_phases": _four(
        text("Four phases", "四个时期"),
        text(
            "Acquisition, development, retention, departure. Retention begins with 3 purchase days "
            "and 180 days since the first.",
            "客户获取、客户发展、客户保持、客户离开。购买天数不少于3天且首次购买距今不少于180天进入客户"
            "保持期。",
        ),
        ("acquisition", "development", "retention", "departure"),
        late=(3, 180),
    ),
    "retail": _by_silence(
        text("Retail", "零售"),
        text("For customers who purchase several times a year.", "适用于客户每年多次购买的业务。"),
        floor_days=180,
        loyal=(5, 180),
    ),
    "b2b": _by_silence(
        text("Business customers", "企业客户"),
        text("For companies that order steadily.", "适用于持续订货的企业客户。"),
        floor_days=90,
        loyal=(6, 365),
    ),
    "annual": _by_silence(
        text("Annual purchases", "年度购买"),
        text("For what is purchased about once a year.", "适用于约每年购买一次的业务。"),
        floor_days=540,
        loyal=(3, 730),
    ),
    "contractual": _five(
        text("Contracts", "合同制"),
        text(
            "Five stages for subscriptions and contracts. Nobody churns by silence: churned is "
            "whose contract has ended, or who cancelled and neither purchased on a later day nor "
            "renewed the contract since. Loyal from 3 purchase days and 365 days on.",
            "适用于订阅和合同业务。不因沉默而流失：合同已到期，或已取消且此后既未再购买也未续约，即为流失"
            "客户。购买天数不少于3天且满365天为忠诚客户。",
        ),
        floor_days=NO_SILENCE_DAYS,
        loyal=(3, 365),
        churned=rules.contract_over("churned"),
        more=CONTRACT_ACTIONS,
    ),
}
