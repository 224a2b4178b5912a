"""The list of countries, languages and scripts is the one that CLDR has."""

from app.schemas.common import locales
from app.services.customers import countries
from tests import territories


def test_the_file_is_drawn_from_the_cldr_of_babel() -> None:
    file = locales._FILE.read_text(encoding="utf-8")
    assert file == territories.text(), "make territories"


def test_every_name_and_code_means_one_country() -> None:
    named = territories.territories()["countries"]
    assert len(named) > 245
    for code, known in named.items():
        for name in (code, code.lower(), *known, *countries._ALSO.get(code, ())):
            assert countries.code_of(name) == code, name
    assert countries._ALSO.keys() <= named.keys()
