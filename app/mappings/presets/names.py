"""What columns are called, by the field that they are: in English, Chinese, and some German."""

from collections.abc import Iterator, Mapping
from typing import Final

from app.mappings.presets.header import Header, folded

_NAMES: Final = """
customer_id: customer_id, customerid, customer_no, customer_number, customer_code, cust_code,
    cust_id, custid, 客户编码, 客户代码, customer, client_id, client, buyer_id, user_id, userid,
    member_id, account_id, person_id, master_id, 客户编号, 客户id, 客户, 会员编号, 会员号, 会员id,
    用户id, 买家id, id_cliente, kundennummer, kunde, kunden_id, 买家会员名, kunnr, contact_id,
    customer_email, buyer_email, customer_name, client_name, buyer, member, 客户名称,
    from_email_address, billing_email, email_address, email, e-mail, 邮箱, kundennr, cliente,
    auftraggeber, debitor, debitorennummer, sold_to_party, customer_reference, 会员卡号, 下单帐号,
    下单账号, 买家账号, 会员手机号, 买家手机号, 买家手机, 客户手机号, 下单手机号, 收货人手机号,
    收货人手机, 手机号, 手机, 买家昵称, 客户昵称, 会员昵称, 粉丝昵称
occurred_at: occurred_at, order_date, orderdate, invoicedate, invoice_date, purchase_date,
    transaction_date, date, datetime, timestamp, time, created_at, order_time, paid_at,
    event_time, order_purchase_timestamp, sale_date, payment_date, posting_date, erdat, audat,
    fkdat, date_paid, creation_date, date_order, date_created, 订单付款时间, 买家付款时间,
    支付时间, 付款时间, 付款确认时间, 订单支付时间, 订单创建时间, 单据日期, 下单时间, 订单日期,
    成交时间, 交易时间, 交易日期, 购买日期, 创建时间, 日期, 时间, belegdatum, buchungsdatum,
    fakturadatum, datum, bestelldatum, fecha, auftragsdatum, rechnungsdatum, date_commande,
    date_de_commande, fecha_pedido
transaction_id: transaction_id, order_id, orderid, order_no, order_number, order, invoiceno,
    invoice, invoice_no, invoice_id, receipt_no, receipt_id, 订单号, 订单编号, 订单id, 交易号,
    发票号, 单号, 单据编号, 单据号, bestellnummer, rechnungsnummer, increment_id, vbeln,
    document_no, sale_id, purchase_id, payment_id, auftragsnummer, auftragsnr, bestellnr,
    belegnummer, belegnr, beleg, verkaufsbeleg, auftrag, faktura, rechnungsnr, amazon_order_id,
    order_reference, order_ref, sales_document, document_number, 主订单编号, 交易编号, n_commande,
    numero_commande, commande, pedido, numero_pedido
amount: grand_total_purchased, 买家实际支付金额, 订单实付金额, 用户实付金额, 买家实付金额,
    实际支付金额, 实付金额, 支付金额, 付款金额, 实收金额, 商家实收金额, 应付金额, amount, total,
    totalprice, total_price, order_total, order_total_amount, total_amount, amount_total,
    total_collected, revenue, sales, value, dollar_value, dollars, price_total, paid, gross,
    gross_amount, grand_total, grand_total_base, payment_value, netwr, order_total_inc_tax,
    net_amount, order_amount, order_value, line_total, item_total, item_price, 价税合计, 含税金额,
    金额, 订单金额, 订单总金额, 订单总额, 成交金额, 消费金额, 结算金额, 总金额, 总额, 商品总价,
    原币价税合计, betrag, gesamtbetrag, bruttobetrag, nettobetrag, bruttowert, nettowert, summe,
    gesamtsumme, montant_ttc, montant, total_ttc, importe
currency: currency, currency_code, order_currency, waerk, waers, 币种, 货币, waehrung, währung,
    币别, währg, waehrg, devise, moneda
kind: kind, type, transaction_type, order_type, event_type, document_type, 类型, 交易类型,
    业务类型, belegart
refunded_amount: refunded_amount, amount_refunded, refunded, refund_amount, total_refunded,
    order_refund_amount, refund_total, refunded_total, refund, 退款金额, 已退款金额, 退款总额,
    订单退款金额, 订单已退款金额, 退款成功金额, 实际退款金额, 已退金额, 退货金额, erstattet,
    erstattungsbetrag, gutschriftsbetrag, montant_rembourse, rembourse, reembolsado
refunded_at: refunded_at, refund_date, refunded_date, date_refunded, refund_time, 退款时间,
    退款日期, 退款成功时间, 退款完成时间, erstattungsdatum, erstattet_am
refund_status: refund_status, refund_state, after_sale_status, 退款状态, 售后状态, 订单退款状态,
    退货状态
refunded: refunds, refunded_order_id, original_order_id, original_transaction_id, refund_of,
    原订单号
order_status: order_status, status, payment_status, 订单状态, 交易状态, 状态, bestellstatus,
    单据状态, 支付状态, auftragsstatus, belegstatus, statut, estado
channel: channel, sales_channel, store, location, 渠道, 门店, 店铺名称, 下单门店, 归属店铺
quantity: quantity, qty, units, quantity_ordered, quantity_purchased, 数量, 商品数量, 订购数量,
    购买数量, menge
unit_price: unit_price, unitprice, price, price_each, 含税单价, 单价, preis, einzelpreis
product_id: product_id, productid, sku, stockcode, stock_code, item_id, item, product, 商品编号,
    商品id, 商品, 存货编码, 物料编码, 产品, artikelnummer
category: category, product_category, 类别, 品类
name: name, full_name, customer_name, contact_name, company_name, 姓名, 名称, 客户名称, 客户姓名
first_name: first_name, firstname, given_name
last_name: last_name, lastname, surname, family_name
email: email, e-mail, email_address, mail, 邮箱, 电子邮件
phone: phone, mobile, phone_number, telephone, tel, 手机, 手机号, 电话, 联系电话
country: country, country_code, 国家
region: region, state, province, 地区, 省份, 省
city: city, town, 城市
gender: gender, sex, 性别
birth_date: birth_date, birthdate, date_of_birth, birthday, dob, 生日, 出生日期
industry: industry, 行业
owner: owner, account_manager, sales_rep, 负责人, 客户经理
acquisition_channel: acquisition_channel, source, lead_source, 来源, 客户来源
first_contact_at: first_contact_at, signup_date, registered_at, created_at, 注册时间, 创建时间
interaction_id: interaction_id, event_id, ticket_id, activity_id, call_id, id, 工单号
interaction_kind: kind, event, event_type, type, activity_type, interaction, event_name, 类型,
    事件
campaign: campaign, utm_campaign, 活动
outcome: outcome, result, 结果
score: score, rating, nps, 评分, 分数
text: text, note, notes, comment, description, 备注, 内容
due_date: due_date, due_on, duedate, due, 到期日, 应付日期, 付款到期日, fälligkeit
outstanding: amount_due, outstanding, open_amount, balance, balance_due, overdue_amount, 未付金额,
    欠款, 逾期金额
payment_id: invoice_id, invoice_no, invoice, payment_id, invoiceno, 发票号, 单号
stage: stage, lifecycle_stage, customer_stage, lifecyclestage, status, 阶段, 客户阶段,
    生命周期阶段
set_at: set_at, stage_since, since, stage_date, changed_at, valid_from, date, updated_at,
    阶段时间, 变更时间, 日期
reason: reason, stage_reason, 原因
"""


def _read() -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in _NAMES.replace(",\n   ", ",").strip().split("\n"):
        field, _, names = line.partition(":")
        yield field, tuple(name.strip() for name in names.split(","))


NAMES: Final[Mapping[str, tuple[str, ...]]] = dict(_read())
"""Names by field, compared without capitals, blanks and signs; the first that fits counts."""


def named(header: Header, field: str, said: Mapping[str, str]) -> str | None:
    """Return the column of a field: the one that was said, or else one that is called so."""
    if field in said:
        return said[field]
    found = header.folded
    return next((found[key] for each in NAMES[field] if (key := folded(each)) in found), None)


def all_named(header: Header, field: str) -> list[str]:
    """Return all columns that are called like a field, the likeliest first, each once."""
    found = (header.folded.get(folded(each)) for each in NAMES[field])
    return list(dict.fromkeys(name for name in found if name is not None))


def moment(header: Header, field: str, said: Mapping[str, str]) -> list[str]:
    """Return the column of a time, or the two of its day and its hour; none if there is none."""
    column = named(header, field, said)
    if column is None:
        return []
    hour = header.find("Time") if header.has("Time") else None
    apart = field not in said and folded(column) == "date" and hour is not None
    return [column, hour] if apart and hour is not None else [column]
