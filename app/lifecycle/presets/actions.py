"""What to do for the customers of each stage.

Who is satisfied is said by the scale that is declared of the kind of the survey.
"""

from typing import Final

from app.lifecycle.presets.parts import Document, compare, had, option

_COMPLAINED = compare("complaints_90_days", ">", 0)
_DISSATISFIED = compare("satisfied", "==", value=False)

_CONSULT = option(
    "consult_and_demonstrate",
    "Advise online and demonstrate the product",
    "在线咨询服务、产品演示",
)
_TRIAL = option("offer_trial", "Offer a trial or an introductory price", "优惠活动和试用体验")
_RECOMMEND = option("recommend", "Recommend what suits the customer", "个性化推荐")
_FOLLOW_UP = option(
    "follow_up", "Follow up and keep in touch", "跟进与维护", compare("interactions", ">=", 1)
)
_SUPPORT = option(
    "after_sales_service", "Serve promptly and well after the sale", "提供及时、专业的售后服务"
)
_RESOLVE = option(
    "resolve_complaint", "Resolve the complaint in time", "及时解决客户的问题和投诉", _COMPLAINED
)
_IMPROVE = option(
    "improve_satisfaction",
    "Improve what the survey found wanting, and track it",
    "对改进措施进行跟踪",
    _DISSATISFIED,
)
_DECLINE = option(
    "care_for_decline",
    "Care for a customer who buys less often, or for less",
    "关怀购买频率下降或购买金额减少的客户",
    {"any": [compare("frequency_trend", "<", 0.8), compare("amount_trend", "<", 0.8)]},
)
_GREET = option("greetings", "Birthday wishes and holiday greetings", "生日祝福、节日问候")
_VISIT = option("return_visit", "Visit or call regularly", "定期回访")
_POINTS = option("points", "Points for repurchase and referral", "客户积分制度")
_MEMBERSHIP = option("membership", "Membership with rights and discounts", "客户会员制度")

_PROSPECT = (
    option(
        "screen",
        "Screen by industry, size and place",
        "按行业属性、企业规模、地理位置筛选",
    ),
    option("assess_intent", "Assess willingness and ability to buy", "评估购买意愿和购买能力"),
    option("content_marketing", "Inform with fitting content", "内容营销"),
    _CONSULT,
    option(
        "resolve_doubts",
        "Understand doubts and needs, and answer them",
        "了解客户的疑虑和需求",
        had("consult"),
    ),
    option("show_cases", "Show cases and testimonials", "案例分析、客户见证"),
    _TRIAL,
    _FOLLOW_UP,
)
_NEW = (
    option("onboard", "Explain the product and its use", "产品说明和操作指导"),
    _SUPPORT,
    option("usage_survey", "Ask about use and satisfaction", "使用情况调查和满意度评估"),
    _RESOLVE,
    _POINTS,
    _GREET,
)
_LOYAL = (
    _MEMBERSHIP,
    option(
        "exclusive_rights", "Exclusive discounts and the right to buy first", "专属折扣、优先购买权"
    ),
    option("referral_reward", "Reward referrals", "推荐奖励计划"),
    option("cross_sell", "Offer insurance, loans and the like", "保险、贷款等增值服务"),
    _DECLINE,
    _RESOLVE,
)
_CHURNED = (
    option("churn_call", "Call back, or send a questionnaire", "问卷调查、电话回访"),
    option(
        "find_causes", "Find the causes, internal and external", "分析客户流失的内部原因和外部原因"
    ),
    option(
        "win_back_plan",
        "Plan the win-back by reason: goal, strategy, timetable",
        "制定个性化的挽回方案，明确挽回目标、策略和时间表",
    ),
    option(
        "remedy",
        "Make up for it: exchange, return, gift",
        "产品退换、赠品等补救措施",
        {"any": [had("complaint"), _DISSATISFIED]},
    ),
    option("win_back_care", "Care and extras that invite a return", "关怀和增值服务，提高回购意愿"),
)

ACTIONS: Final[dict[str, tuple[Document, ...]]] = {
    "potential": _PROSPECT,
    "initial": _NEW,
    "active": (_VISIT, _RECOMMEND, _POINTS, _DECLINE, _RESOLVE, _IMPROVE),
    "loyal": _LOYAL,
    "churned": _CHURNED,
    "new": (*_NEW, _VISIT, _RECOMMEND),
    "mature": (
        *_LOYAL,
        option(
            "value_added_services",
            "Free delivery, longer warranty and other extras",
            "免费送货、延长保修期等增值服务",
        ),
        _GREET,
    ),
    "acquisition": (_CONSULT, _RECOMMEND, _TRIAL, _FOLLOW_UP),
    "development": (
        option("meetings", "Meet regularly", "定期会议"),
        option("training", "Train the customer's people", "培训课程"),
        option("technical_support", "Give technical support", "技术支持"),
        option("watch_needs", "Notice how needs change", "关注客户的需求变化"),
        _SUPPORT,
        _RESOLVE,
        _IMPROVE,
    ),
    "retention": (
        option("inspection", "Inspect regularly", "定期巡检"),
        option("upgrade", "Upgrade the product", "升级产品"),
        option(
            "participation",
            "Invite to events and to product development",
            "鼓励客户参与企业活动、产品研发",
        ),
        option("personal_service", "Custom products, exclusive offers", "定制产品、专属优惠"),
        _MEMBERSHIP,
        _DECLINE,
        _RESOLVE,
    ),
    "departure": (
        option("exit_survey", "Ask why the customer left", "退出调查"),
        option("learn", "Learn from the departure", "从客户离开中吸取教训"),
        *_CHURNED[2:],
    ),
}
"""By code of the stage."""

CONTRACT_ACTIONS: Final = (
    option(
        "renewal_talk",
        "Talk about renewal before the contract ends",
        "合同到期前洽谈续约",
        {
            "all": [
                compare("days_until_contract_end", ">=", 0),
                compare("days_until_contract_end", "<=", 90),
            ]
        },
    ),
    option(
        "keep_after_notice",
        "Try to keep a customer who gave notice",
        "挽留已提出取消的客户",
        had("cancelled"),
    ),
)
"""For customers under contract, besides those of their stage."""
