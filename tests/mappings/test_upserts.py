"""Customers out, as Zoho CRM takes them."""

import json

from app.mappings.upserts import MOST, zoho_upserts
from tests.mappings.files import SAMPLES

FIELDS = {"CLM_Customer_Id": "customer_id", "CLM_Stage": "stage", "CLM_Expected_Value": "clv"}


def test_bodies_have_the_shape_of_the_upsert_and_hold_a_hundred_records_at_most():
    customers = [
        {
            "customer_id": f"c-{n}",
            "name": "Sigrun Halvorsen",
            "email": "sigrun@halvorsen.example",
            "birth_date": "1979-06-30",
            "city": None,
            "stage": "loyal",
            "clv": {"amount": "18250.40", "currency": "EUR"},
        }
        for n in range(2 * MOST + 1)
    ]
    bodies = list(zoho_upserts(customers, FIELDS))
    assert [len(body["data"]) for body in bodies] == [100, 100, 1]
    assert bodies[0]["data"][0] == {
        "Last_Name": "Halvorsen",
        "First_Name": "Sigrun",
        "Email": "sigrun@halvorsen.example",
        "Date_of_Birth": "1979-06-30",
        "CLM_Customer_Id": "c-0",
        "CLM_Stage": "loyal",
        "CLM_Expected_Value": "18250.40",
    }
    sample = json.loads((SAMPLES / "zoho_upsert_contacts.json").read_text())
    assert set(bodies[0]) == set(sample)
    for name in ("duplicate_check_fields", "trigger"):
        assert bodies[0][name] == sample[name]


def test_a_family_name_is_always_there():
    names = [None, " ", "顾澜", "de la Fuente", "Puyol"]
    (body,) = zoho_upserts([{"name": name} for name in names], {})
    assert [record["Last_Name"] for record in body["data"]] == ["-", "-", "顾澜", "Fuente", "Puyol"]


def test_records_name_others_by_their_id_add_to_multi_selects_and_clear_what_is_null():
    sample = json.loads((SAMPLES / "zoho_upsert_contacts.json").read_text())["data"]
    customers = [
        {
            "customer_id": "5550000000000201001",
            "name": "Sigrun Halvorsen",
            "parent_customer_id": sample[0]["Account_Name"]["id"],
            "churn_risk": {"probability": 0.07},
            "attributes": {"interests": ["Trays", "Consumables"]},
        },
        {"customer_id": "2", "name": "Puyol", "attributes": {}},
    ]
    fields = {"id": "customer_id", "Interests": "attributes.interests",
              "CLM_Churn_Risk": "churn_risk.probability"}  # fmt: skip
    options = {"lookups": {"Account_Name": "parent_customer_id"}, "append": ["Interests"]}
    (body,) = zoho_upserts(customers, fields, **options)
    first, second = body["data"]
    assert first["Account_Name"] == sample[0]["Account_Name"]
    assert first["Interests"] == sample[1]["Interests"]
    assert first["$append_values"] == sample[1]["$append_values"]
    assert first["CLM_Churn_Risk"] == sample[0]["CLM_Churn_Risk"]
    assert second == {"Last_Name": "Puyol", "id": "2"}
    (body,) = zoho_upserts(customers, fields, **options, clear=True)
    cleared = body["data"][1]
    assert (cleared["Account_Name"], cleared["CLM_Churn_Risk"]) == (None, None)
    assert "$append_values" not in cleared
