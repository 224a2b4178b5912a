"""What somebody types finds whom it should: held against a slow scan, of each way by itself."""

import random
import unicodedata
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select, text

from app.config import Settings
from app.models import Customer, CustomerSearch
from app.postgres.db import Database, ReadSession, fetch_rows
from app.services.common.paging import PageRequest
from app.services.customers import search
from tests.database import Clock, make_client

WORDS = {
    "Müller": {"muller"}, "ANNA": {"anna"}, "Łukasz": {"lukasz"}, "Straße": {"strasse"},
    "O'Dair": {"odair", "o", "dair"}, "O’Dair": {"odair", "o", "dair"},
    "José-María": {"josemaria", "jose", "maria"}, "Søren": {"soren"}, "İrem": {"irem"},
    "Ispartalı": {"ispartali"}, "Şahin": {"sahin"}, "ＡＢＣ": {"abc"}, "S.L.": {"sl", "s", "l"},
    "Nguyễn": {"nguyen"}, "Σοφός": {"σοφοσ"}, "Андрей": {"андреи"}, "Zoe\u0308": {"zoe"},
    "Panagiotopoulos": {"panagiotopoulos"}, "Panagiotakis": {"panagiotakis"}, "№7": {"no7"},
    "(GmbH)": {"gmbh"}, "de": {"de"}, "la": {"la"}, "\u200bAnn\u200d": {"ann"}, "B2B": {"b2b"},
}  # fmt: skip
"""Words as they are written, and what each is found by, by hand."""
CHARACTERS = "王小明大欧阳思远澜顾"


def spoken(rng: random.Random) -> tuple[str, set[str]]:
    """Return a name of words with blanks, and the plain words that it is found by."""
    written = rng.sample(list(WORDS), rng.randint(1, 3))
    return " ".join(written), set().union(*(WORDS[each] for each in written))


def chinese(rng: random.Random, length: int) -> str:
    return "".join(rng.choice(CHARACTERS) for _ in range(length))


def is_named(query: str, plain: set[str], characters: str) -> bool:
    """Say whether a name has every word of a query: slow, and without an index."""

    def has(word: str) -> bool:
        if not set(word) <= set(CHARACTERS):
            return any(each.startswith(word) for each in plain)
        turned = {characters[at:] + characters[:at] for at in (1, 2)}
        return word in characters or (len(characters) <= 4 and word in turned)

    return all(map(has, query.split()))


async def put_all(client: httpx.AsyncClient, profiles: dict[str, dict[str, Any]]) -> None:
    items = [{"customer_id": each, **profile} for each, profile in profiles.items()]
    for start in range(0, len(items), 1000):
        body = {"items": items[start : start + 1000], "mode": "atomic"}
        answer = await client.post("/v1/customers/bulk", json=body)
        assert answer.status_code == 200, answer.text


async def found(client: httpx.AsyncClient, q: str, **params: Any) -> list[str]:
    answer = await client.get("/v1/customers", params={"q": q, "limit": 200, **params})
    assert answer.status_code == 200, answer.text
    return [each["customer_id"] for each in answer.json()["items"]]


async def test_any_words_in_any_order_find_the_names_that_a_slow_scan_finds(
    client: httpx.AsyncClient,
) -> None:
    rng = random.Random(7)
    people: dict[str, tuple[str, set[str], str]] = {}
    for number in range(150):
        kind = rng.random()
        name, plain, run = "", set[str](), ""
        if kind < 0.65:
            name, plain = spoken(rng)
        if kind > 0.55:
            run = chinese(rng, rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 9)))
            cut = rng.randint(0, len(run))
            name += f" {run[:cut]}{rng.choice(('', ' ', '·', '　'))}{run[cut:]}"
        people[f"#{number:03}".replace("#", "-")] = (name.strip(), plain, run)
    await put_all(client, {key: {"name": name} for key, (name, _, _) in people.items()})
    hits = 0
    for _ in range(250):
        _, plain, run = people[rng.choice(list(people))]
        asked = [word[: rng.randint(1, 12)] for word in plain if rng.random() < 0.7]
        if run:
            start = rng.randint(0, len(run) - 1)
            piece = run[start : start + rng.randint(1, 4)]
            asked.append(rng.choice((piece, run[1:] + run[:1], run[2:] + run[:2], run)))
        if rng.random() < 0.2:
            asked.append(rng.choice(("a", "pana", "panagiotop", "小", chinese(rng, 2))))
        rng.shuffle(asked)
        query = " ".join(filter(None, asked))
        if not query:
            continue
        expected = [key for key, (_, plain, run) in people.items() if is_named(query, plain, run)]
        shown = rng.choice((query, query.upper(), f" {query} ", query.replace(" ", "　")))
        if "σ" in query or "и" in query:
            shown = query
        assert await found(client, shown) == expected, (shown, query)
        hits += len(expected)
    assert hits > 300


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("Müller Anna", ["anna mul", "muller", "MÜLLER", "mu\u0308ller", "müller, anna", "a m"]),
        ("王小明", ["小明", "王小", "王小明", "小明王", "明", "小明 王", "王 小明", "王　小明"]),
        ("欧阳思远", ["思远欧阳", "欧阳", "思远", "阳思"]),
        ("澜 顾", ["顾澜", "澜顾", "顾"]),
        ("José-María de la Fuente y Álvarez", ["jose maria alvarez", "jose-maria", "josemaria",
                                               "fuente, jo", "ALVÁREZ DE"]),
        ("Maria O'Dair", ["odair", "o'dair", "o’dair", "dair", "o dair maria"]),
        ("启澜智造(苏州)有限公司", ["启澜", "智造苏州", "智造（苏州）", "有限公司", "苏州 启澜"]),
        ("青芒科技（上海）股份公司", ["青芒科技(上海)股份公司", "上海"]),
        ("Puyol & Hijas, S.L.", ["puyol hijas", "sl", "s.l.", "hijas & puyol"]),
        ("Iğdır İNŞAAT", ["igdir", "insaat", "IĞDIR", "iğdır"]),
        ("ｶﾞｷﾞ 株式会社", ["ガギ", "株式会社"]),
        ("김철수", ["철수", "김"]),
        ("测试客户123", ["客户123", "123", "客户 12"]),
    ],
)  # fmt: skip
async def test_names_of_all_kinds_are_found(
    client: httpx.AsyncClient, name: str, queries: list[str]
) -> None:
    await put_all(client, {"-1": {"name": name}, "-2": {"name": "Zqx 龘"}})
    for query in queries:
        assert await found(client, query) == ["-1"], query


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("Müller Anna", ["anna muller b", "uller", "mullera", "ann b"]),
        ("王小明", ["明王", "小王", "王明", "王小明大", "大王小明", "明小"]),
        ("启澜智造(苏州)有限公司", ["澜启", "启智", "有限公司启澜"]),
        ("Panagiotopoulos", ["panagiotak", "panagiotopoulosa"]),
        ("欧阳思远", ["远欧阳思", "阳欧"]),
    ],
)
async def test_names_are_not_found_by_what_they_do_not_have(
    client: httpx.AsyncClient, name: str, queries: list[str]
) -> None:
    await put_all(client, {"-1": {"name": name}})
    for query in queries:
        assert await found(client, query) == [], query


@pytest.mark.parametrize(
    ("phone", "country", "queries", "others"),
    [
        ("0170 1234567", "Germany",
         ["+49170", "+49 170 1234567", "0049 170", "0170", "0170/123 45 67", "170123", "34567",
          "+49 (0)170 12", "567", "01701234567", "４９１７０"],
         ["+4917012345678", "0171", "+49 30"]),
        ("138-1234-5678", "中国", ["+86138", "13812345678", "5678", "138 1234", "0086138", "+86"],
         ["139", "+1381"]),
        ("010-123; 138 1234 5678", "CN", ["010-123", "13812345678", "+86138"], ["0102"]),
        ("ask the desk 4711", None, ["4711"], ["4712"]),
        ("+7 912 345-67-89", None, ["8 912 345", "8 (912)", "+7912", "912345"], ["7812"]),
    ],
)  # fmt: skip
async def test_phones_are_found_by_their_digits_in_any_spelling(
    client: httpx.AsyncClient, phone: str, country: str | None, queries: list[str],
    others: list[str],
) -> None:  # fmt: skip
    await put_all(client, {"-1": {"phone": phone, "country": country}, "-2": {"name": "Zoe"}})
    for query in queries:
        assert await found(client, query) == ["-1"], query
    for query in (*others, "12", "+", "1 2", "a138"):
        assert await found(client, query) == [], query


async def test_digits_find_every_number_that_holds_them(client: httpx.AsyncClient) -> None:
    rng = random.Random(3)
    numbers = {f"-{n:03}": f"1{rng.randint(30, 39)}{rng.randint(0, 10**8 - 1):08}"
               for n in range(200)}  # fmt: skip
    await put_all(
        client, {key: {"phone": number, "country": "CN"} for key, number in numbers.items()}
    )
    for _ in range(60):
        start, length = rng.randint(0, 8), rng.randint(3, 6)
        part = rng.choice(list(numbers.values()))[start : start + length]
        held = [key for key, number in numbers.items()
                if part in f"+86{number}" or part in number]  # fmt: skip
        assert await found(client, part) == held, part


async def test_e_mails_are_found_by_their_beginnings(client: httpx.AsyncClient) -> None:
    await put_all(client, {
        "-1": {"email": "Puyol@PUYOL.example "}, "-2": {"email": "no address"},
        "-3": {"email": "用户@例子.公司"}, "-4": {"email": "A_b%c@x.com"},
    })  # fmt: skip
    for query, expected in {
        "puyol@puyol.ex": ["-1"], "PUYOL@": ["-1"], "no a": ["-2"], "用户@": ["-3"], "a_b%": ["-4"],
        "a_": ["-4"], "puyol.example": [], "b%": [], "%": [], "_": [],
    }.items():  # fmt: skip
        assert await found(client, query) == expected, query


async def test_who_was_changed_is_found_by_what_holds_now(client: httpx.AsyncClient) -> None:
    path = "/v1/customers/-1"
    await client.put(path, json={"name": "Anna", "phone": "030 1234567", "country": "DE"})
    assert (await client.get(path)).json()["phone_e164"] == "+49301234567"
    await client.patch(path, json={"country": "CN", "name": "Berta"})
    assert await found(client, "anna") == []
    assert await found(client, "berta") == await found(client, "030 123") == ["-1"]
    await client.patch(path, json={"country": "France", "valid_from": "2026-01-01T00:00:00Z"})
    assert (await client.get(path)).json()["phone_e164"] is None  # in China it is no number
    await client.patch(path, json={"country": "Deutschland"})
    assert await found(client, "+4930") == ["-1"]
    await client.put(path, json={"city": "Bonn"})
    assert await found(client, "berta") == await found(client, "030 123") == []
    assert (await client.get(path)).json()["phone_e164"] is None


async def test_a_list_that_is_searched_has_pages_filters_and_orders(
    client: httpx.AsyncClient,
) -> None:
    everybody = {f"-{n}": {"name": "Anna", "owner": "east" if n % 2 else "west"} for n in range(9)}
    await put_all(client, everybody)
    assert await found(client, "anna", owner="east") == ["-1", "-3", "-5", "-7"]
    assert await found(client, "anna", sort="-customer_id") == [f"-{n}" for n in range(8, -1, -1)]
    assert await found(client, "anna", stage="initial") == []
    walked, cursor = [], None
    while True:
        params = {"q": "anna", "limit": 4, "sort": "-created_at", "cursor": cursor}
        given = {key: value for key, value in params.items() if value is not None}
        page = (await client.get("/v1/customers", params=given)).json()
        walked += [each["customer_id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert walked == [f"-{n}" for n in range(8, -1, -1)]
    other = await client.get("/v1/customers", params={"q": "anna", "limit": 4})
    moved = {"q": "ann", "cursor": other.json()["next_cursor"]}
    assert (await client.get("/v1/customers", params=moved)).status_code == 400


@pytest.mark.parametrize(
    "q",
    [
        "'",
        '"',
        "\\",
        "{}",
        "a,b",
        '{"ü7"}',
        "NULL",
        "\t",
        "%_",
        "{",
        "\U0010ffff",
        "０",
        "…",
        "#170",
    ],
)
async def test_a_query_may_be_anything(client: httpx.AsyncClient, q: str) -> None:
    await put_all(client, {"-1": {"name": "Anna 小明", "phone": "+49 170 1234567"}})
    assert await found(client, q) == []


async def test_names_are_kept_in_one_normal_form_without_outer_blanks(
    client: httpx.AsyncClient,
) -> None:
    made = await client.put("/v1/customers/1", json={"name": " Zoe\u0308 \n", "city": "Ko\u0308ln"})
    again = await client.put("/v1/customers/1", json={"name": "Zo\u00eb", "city": "K\u00f6ln"})
    assert (made.json()["name"], made.json()["city"]) == ("Zo\u00eb", "K\u00f6ln")
    assert unicodedata.is_normalized("NFC", made.json()["name"])
    assert made.headers["etag"] == again.headers["etag"]


async def test_each_way_to_be_found_uses_its_index(database: Database) -> None:
    """Whatever the planner guesses: whoever walks all customers waits for them all."""
    asked: list[tuple[str, Any]] = []

    def see(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", see)
    page = PageRequest(50, None, None, b"x")
    async with database.reads() as opened:
        session = ReadSession(opened)
        await session.execute(text("SET LOCAL enable_seqscan = off"))  # the tables are empty
        for q, ways in {
            "anna mul": ["pk_customers", "ix_customer_search_email", "ix_customer_search_terms"],
            "小明王": ["ix_customer_search_terms"],
            "panagiotopoulos": ["ix_customer_search_terms"],
            "0170 123": ["ix_customer_search_terms"],
        }.items():
            asked.clear()
            await search.search(session, page, search.Filters(q=q))
            statement, parameters = asked[0]
            rows = await fetch_rows(session, f"EXPLAIN {statement}", *parameters)
            plan = "\n".join(row[0] for row in rows)
            assert all(f"on {way}" in plan or f"using {way}" in plan for way in ways), plan
            assert "Seq Scan" not in plan, plan


async def test_a_row_is_kept_of_whom_anything_but_the_id_finds(
    client: httpx.AsyncClient, database: Database
) -> None:
    await put_all(client, {
        "1": {"name": "Anna"}, "2": {"city": "Bonn"}, "3": {"email": "?"}, "4": {"name": "…"},
        "5": {"phone": "n/a"},
    })  # fmt: skip
    async with database.reads() as session:
        kept = await ReadSession(session).scalars(select(CustomerSearch.customer_id))
        assert sorted(kept) == ["1", "3"]
        assert await session.scalar(select(func.count()).select_from(Customer)) == 5


async def test_a_list_is_filtered_by_what_the_profile_says(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    rows: dict[str, dict[str, Any]] = {
        "a": {"country": "Germany", "industry": "retail", "kind": "company",
              "acquisition_channel": "web"},
        "b": {"country": "DE", "industry": "steel", "kind": "company"},
        "c": {"country": "FR", "industry": "retail", "kind": "person"},
    }  # fmt: skip
    for customer_id, profile in rows.items():
        await client.put(f"/v1/customers/{customer_id}", json=profile)
    before = clock.now
    clock.now += timedelta(days=2)
    await client.patch("/v1/customers/b", json={"industry": "retail"})

    async def found(**asked: str) -> list[str]:
        answer = await client.get("/v1/customers", params=asked)
        assert answer.status_code == 200, answer.text
        return [row["customer_id"] for row in answer.json()["items"]]

    assert await found(country="DE") == await found(country="德国") == ["a", "b"]
    assert await found(country="nowhere") == []
    assert await found(industry="retail") == ["a", "b", "c"]
    assert await found(industry="retail", kind="company", channel="web") == ["a"]
    assert await found(updated_since=(before + timedelta(days=1)).isoformat()) == ["b"]
    assert await found(sort="-updated_at") == ["b", "c", "a"]
    assert await found(sort="-last_purchase") == ["a", "b", "c"]
    assert await found(rhythm="lost") == []
    refused = await client.get("/v1/customers", params={"updated_since": "yesterday"})
    assert refused.json()["errors"][0]["pointer"] == "query:updated_since"


async def test_what_a_run_found_is_asked_for_by_those_alone_who_may_read_it(
    settings: Settings, database: Database, clock: Clock, client: httpx.AsyncClient
) -> None:
    """A filter tells it of whoever is listed, and so does an order."""
    asked = [{"rhythm": "lost"}, *({"sort": f"{sign}{name}"} for name in ("clv", "value_to_save")
                                   for sign in ("", "-"))]  # fmt: skip
    asked += [{**each, "sub_stage": "quoted"} for each in asked]
    scopes = ("customers:read", "customers:read_pii")
    async with await make_client(settings, database, clock, scopes) as other:
        for each in asked:
            assert (await client.get("/v1/customers", params=each)).status_code == 200
            refused = await other.get("/v1/customers", params=each)
            assert (refused.status_code, refused.json()["missing_scope"]) == (403, "scores:read")


async def test_a_list_of_a_sub_stage_is_of_whom_the_stage_says_it(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    """Each of some prospects, told of by their own page; and one who has bought."""
    kinds = ["call", "quote", "trial", "decision", None, "quote", "call"]
    for number, kind in enumerate(kinds):
        await client.put(f"/v1/customers/c{number}", json={"country": "DE" if number % 2 else "FR"})
        for days in (1, 30) if kind else ():
            at = (clock.now - timedelta(days=days)).isoformat()
            event = {"customer_id": f"c{number}", "interaction_id": f"i{days}", "kind": kind,
                     "occurred_at": at}  # fmt: skip
            assert (await client.post("/v1/interactions", json=event)).status_code == 201
    bought = {"customer_id": "c6", "transaction_id": "t", "amount": {"amount": "5.00"},
              "occurred_at": "2026-05-01T12:00:00Z"}  # fmt: skip
    assert (await client.post("/v1/transactions", json=bought)).status_code == 201
    of: dict[str, list[str]] = {}
    for number in range(len(kinds)):
        stage = (await client.get(f"/v1/customers/c{number}/stage")).json()
        of.setdefault(stage["sub_stage"], []).append(f"c{number}")
    assert {"contacted", "quoted", "trial", "decided", None} <= of.keys()

    async def found(**asked: str) -> list[str]:
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            answer = await client.get("/v1/customers", params={"limit": "1", **asked, **cursor})
            assert answer.status_code == 200, answer.text
            ids += [row["customer_id"] for row in answer.json()["items"]]
            if answer.json()["next_cursor"] is None:
                return ids
            cursor = {"cursor": answer.json()["next_cursor"]}

    for code, ids in of.items():
        if code is not None:
            assert await found(sub_stage=code) == ids
            assert await found(sub_stage=code, sort="-customer_id") == ids[::-1]
    assert await found(sub_stage="quoted", country="Germany") == ["c1", "c5"]
    assert await found(sub_stage="quoted", country="FR") == []
    assert await found(sub_stage="quoted", sort="-last_purchase") == ["c1", "c5"]
    assert await found(sub_stage="quoted", sort="clv") == ["c1", "c5"]
    for asked, code in (
        ({"sub_stage": "none"}, "unknown_sub_stage"),
        ({"sub_stage": "quoted", "updated_since": "2026-01-01"}, "not_with_sub_stage"),
        ({"sub_stage": "quoted", "sort": "created_at"}, "enum"),
    ):
        refused = await client.get("/v1/customers", params=asked)
        assert refused.json()["errors"][0]["code"] == code
