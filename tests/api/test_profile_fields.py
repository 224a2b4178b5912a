"""Fields of profiles as they are believed: what was typed is given back beside what it means."""

from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

PATH = "/v1/customers/c1"


async def put(client: httpx.AsyncClient, **profile: Any) -> dict[str, Any]:
    answer = await client.put(PATH, json=profile)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    got = (await client.get(PATH)).json()
    listed = (await client.get("/v1/customers")).json()["items"][0]
    for name in ("phone", "phone_e164", "email", "country", "country_text"):
        assert got[name] == listed[name] == found[name]
    return found


def told(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["code"], each["pointer"]) for each in answer["warnings"]]


@pytest.mark.parametrize(
    ("phone", "country", "e164", "is_told"),
    [
        ("+86 21 5555 0101", None, "+862155550101", False),
        ("'+49 30 5550 0101", "DE", "+493055500101", False),
        ("’+49 30 5550 0101", None, "+493055500101", False),
        ("+８６ １３８ １２３４ ５６７８", None, "+8613812345678", False),
        ("13812345678", "中国", "+8613812345678", False),
        ("0512-5555 0101", "CN", "+8651255550101", False),
        ("199-0000-0002", "China", "+8619900000002", False),
        ("(202) 555-0119", "USA", "+12025550119", False),
        ("020 7946 0018", "United Kingdom", "+442079460018", False),
        ("0034 91 555 01 23", "CN", "+34915550123", False),
        ("0034 91 555 01 23", None, "+34915550123", False),
        ("+49 (0)170 1234567", None, "+491701234567", False),
        ("+49 30/1234567", None, "+49301234567", False),
        ("010-12345678转123", "CN", "+861012345678", False),
        ("+1 202 555 0119 ext. 12", None, "+12025550119", False),
        ("tel:+1-202-555-0119;ext=12", None, "+12025550119", False),
        ("+86 21 5555 0102;021-55550103", "CN", "+862155550102", False),
        ("021-5555 0101 / 13812345678", "CN", "+862155550101", False),
        ("010-123; 138 1234 5678", "CN", "+8613812345678", True),
        ("2025550119", None, None, True),
        ("+86 21 5555", "CN", None, True),
        ("13812345678", "DE", None, True),
        ("138…", "CN", None, True),
        ("110", "CN", None, True),
        ("-", None, None, True),
        ("客户没有电话", "CN", None, True),
        ("+999 123456789", None, None, True),
        ("1" * 200, "DE", None, True),
    ],
)
async def test_phones_are_read_by_the_customers_country(
    client: httpx.AsyncClient, phone: str, country: str | None, e164: str | None, is_told: bool
) -> None:
    found = await put(client, phone=phone, country=country)
    assert (found["phone"], found["phone_e164"]) == (phone, e164)
    assert told(found) == [("phone_unread", "/phone")] * is_told


@pytest.mark.parametrize(
    ("email", "is_told"),
    [
        ("Puyol@PUYOL.example", False),
        ("sigrun@halvorsen.example", False),
        ("o'dair+shop@mail.example", False),
        ("用户@例子.公司", False),
        ("anna at example", True),
        ("a@b@c.com", True),
        ("a@b.com; c@d.com", True),
        ("Anna <anna@example.com>", True),
        ("a@localhost", True),
        ("-", True),
        ("@", True),
    ],
)
async def test_e_mails_are_validated_and_kept(
    client: httpx.AsyncClient, email: str, is_told: bool
) -> None:
    found = await put(client, email=f" {email}\t")
    assert found["email"] == email
    assert told(found) == [("email_unread", "/email")] * is_told


@pytest.mark.parametrize(
    ("country", "code"),
    [
        ("DE", "DE"), ("de", "DE"), ("USA", "US"), ("UK", "GB"), ("uk", "GB"), ("GB", "GB"),
        ("GBR", "GB"), ("中国", "CN"), ("中國", "CN"), ("China", "CN"), ("CHINA ", "CN"),
        ("United States", "US"), ("United States of America", "US"), ("U.S.A.", "US"),
        ("the Netherlands", "NL"), ("España", "ES"), ("Espana", "ES"), ("Deutschland", "DE"),
        ("Norway", "NO"), ("挪威", "NO"), ("美国", "US"), ("英国", "GB"), ("香港", "HK"),
        ("Hong Kong", "HK"), ("台灣", "TW"), ("Korea, Republic of", "KR"), ("韩国", "KR"),
        ("Czech Republic", "CZ"), ("Türkiye", "TR"), ("turkey", "TR"), ("Côte d'Ivoire", "CI"),
        ("Bosnia & Herzegovina", "BA"), ("ＣＮ", "CN"), ("РОССИЯ", "RU"), ("日本", "JP"),
        ("248", None), ("XX", None), ("EU", None), ("Atlantis", None), ("-None-", None),
        ("Korea", None), ("Congo", None), ("欧洲", None), ("…", None),
    ],
)  # fmt: skip
async def test_countries_are_read_by_code_or_name(
    client: httpx.AsyncClient, country: str, code: str | None
) -> None:
    found = await put(client, country=country)
    text = None if code else country.strip()
    assert (found["country"], found["country_text"]) == (code, text)
    assert told(found) == [("country_unread", "/country")] * (code is None)


async def test_what_a_country_is_called_is_no_news(client: httpx.AsyncClient) -> None:
    tags = [
        (await client.put(PATH, json={"country": name})).headers["etag"]
        for name in ("USA", "US", "美国", "Atlantis", "Atlantis", "us")
    ]
    assert tags == ['"1"', '"1"', '"1"', '"2"', '"2"', '"3"']
    history = (await client.get(f"{PATH}/profile-history")).json()["items"]
    assert [each["value"] for each in history] == ["US", "Atlantis", "US"]
    items = [
        {"customer_id": "c1", "country": name, "valid_from": "2026-01-31T12:00:00Z"}
        for name in ("Germany", "DE", "France")
    ]
    answer = (await client.post("/v1/customers/bulk", json={"items": items})).json()
    assert [each["status"] for each in answer["items"]] == ["updated", "duplicate", "rejected"]
    assert answer["items"][2]["error"]["errors"][0]["code"] == "contradiction"


async def test_what_was_said_of_then_is_read_as_what_holds_now(
    client: httpx.AsyncClient,
) -> None:
    await put(client, phone="030 1234567", country="Germany")
    later = {"phone": "021 5555 0101", "country": "Cathay", "valid_from": "2026-02-01T00:00:00Z"}
    changed = (await client.patch(PATH, json=later)).json()
    assert told(changed) == [("country_unread", "/country"), ("phone_unread", "/phone")]
    then = (await client.get(PATH, params={"as_of": "2026-01-15"})).json()
    shown = ("country", "country_text", "phone", "phone_e164")
    assert [then[name] for name in shown] == ["DE", None, "030 1234567", "+49301234567"]
    now = (await client.get(PATH)).json()
    assert [now[name] for name in shown] == [None, "Cathay", "021 5555 0101", None]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("en", "en"), ("EN", "en"), ("zh-hans", "zh-Hans"), ("zh_CN", "zh-CN"), ("pt-br", "pt-BR"),
        ("ZH-HANT-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("de-CH-1996", "de-CH-1996"),
        ("yue", "yue"), ("zh-yue-HK", "zh-yue-HK"), ("en-US-u-ca-gregory", "en-US-u-ca-gregory"),
        ("nb", "nb"), ("no", "no"), ("x", None), ("xx", None), ("english", None), ("中文", None),
        ("en-XX", None), ("en-Abcd", None), ("en--US", None), ("en-US-", None),
    ],
)  # fmt: skip
async def test_languages_are_tags_of_bcp_47(
    client: httpx.AsyncClient, given: str, kept: str | None
) -> None:
    answer = await client.put(PATH, json={"preferred_language": given})
    if kept is None:
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/preferred_language"
        assert "such as en" in answer.json()["errors"][0]["detail"]
    else:
        assert answer.json()["preferred_language"] == kept


async def test_time_zones_are_those_of_iana(client: httpx.AsyncClient) -> None:
    for given, kept in {"asia/shanghai": "Asia/Shanghai", "UTC": "UTC", "GMT": "GMT"}.items():
        found = (await client.put(PATH, json={"time_zone": given})).json()["time_zone"]
        assert ZoneInfo(found).key == kept
    bad = await client.patch(PATH, json={"time_zone": "Mars/Base"})
    assert bad.json()["errors"][0] == {
        "pointer": "/time_zone",
        "code": "time_zone",
        "detail": "must be a time zone of the IANA database, such as Asia/Shanghai",
    }
