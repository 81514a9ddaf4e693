"""A table that somebody filled in becomes offers and demands; homes become cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.importers import Fault, ImportError_, Item, read, series_of
from maillon.node.importers.base import Filter


def reading(text: str) -> tuple[list[Item], list[Fault]]:
    entries = list(read("csv", text.encode(), date="2026-01-01", licence="ODbL")[1])
    return (
        [e for e in entries if isinstance(e, Item)],
        [e for e in entries if isinstance(e, Fault)],
    )


def test_a_row_with_two_columns_is_enough() -> None:
    items, faults = reading("id,title\n1,Cours de piano\n")
    assert faults == []
    assert items[0].kind == "offer"
    assert items[0].payload["reciprocity"] == {"kind": "free"}
    assert items[0].payload["source"] == {
        "name": "table",
        "id": "1",
        "date": "2026-01-01",
        "licence": "ODbL",
    }


def test_a_full_row_is_read_field_by_field() -> None:
    items, faults = reading(
        "id,title,kind,text,lang,categories,mode,latitude,longitude,public_place,place_name,city,"
        "hours,hours_sa,amount,unit,audience,cost,phone,email,url,radius_km,urgency\n"
        '1,Trajet,demand,"Une ligne\nune autre",fr,mobilite|autre,remote|at_home,45.76,5.69,yes,'
        'Gare,Belley,"Mo-We 09:00-12:00",10:00 - 11:00,90,heure,seniors,2 €,0400000000,'
        "a@b.example,https://b.example,12,emergency\n"
    )
    assert faults == []
    (item,) = items
    assert item.kind == "demand"
    payload = item.payload
    assert payload["categories"] == ["mobilite", "autre"]
    assert payload["mode"] == ["remote", "at_home"]
    assert payload["place"]["name"] == "Gare" and payload["place"]["lat"] == 45_760_000
    assert payload["when"]["hours"]["sa"] == [[600, 660]] and "th" not in payload["when"]["hours"]
    assert payload["reciprocity"] == {"kind": "amount", "amount": 90, "unit": "heure"}
    assert payload["urgency"] == "emergency" and payload["radius_km"] == 12
    assert payload["contact"]["email"] == "a@b.example"


def test_a_mailbox_that_may_be_a_persons_is_left_out_and_told() -> None:
    items, faults = reading(
        "id,title,contact_name,email,phone\n"
        "1,Couture,Marie Dupont,marie.dupont@garage.example,0400000000\n"
        "2,Garage,,accueil@garage.example,\n"
    )
    assert items[0].payload["contact"] == {"name": "Marie Dupont", "phone": "+33400000000"}
    assert items[1].payload["contact"] == {"email": "accueil@garage.example"}
    assert [(fault.line, fault.field, fault.fatal) for fault in faults] == [(2, "email", False)]


def test_a_place_that_is_not_public_is_told_as_its_cell_alone() -> None:
    items, _ = reading(
        "id,title,latitude,longitude,address,place_name,city\n"
        "1,Ménage,45.7601,5.6903,3 rue Haute,Chez moi,Belley\n"
    )
    place = items[0].payload["place"]
    assert set(place) == {"cell", "city"}
    assert "rue Haute" not in str(items[0].payload)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (",Titre,,,,", "id"),
        ("1,,,,,", "title"),
        ("1,Titre,vente,,,", "kind"),
        ("1,Titre,,partout,,", "mode"),
        ("1,Titre,,,douze,", "amount"),
        ("1,Titre,,,-3,", "amount"),
        ("1,Titre,,,,Lundi matin", "hours"),
    ],
)
def test_a_wrong_row_is_refused_with_its_column(row: str, field: str) -> None:
    items, faults = reading(f"id,title,kind,mode,amount,hours\n{row}\n2,Bon,,,,\n")
    assert [item.id for item in items] == ["2"]
    assert [(fault.line, fault.field, fault.fatal) for fault in faults] == [(2, field, True)]


def test_what_the_rules_of_records_refuse_is_told_before_publishing() -> None:
    items, faults = reading("id,title,amount\n1,Titre,30\n")
    assert items == []
    assert faults[0].field == "reciprocity"


def test_an_identifier_that_stands_twice_is_refused_the_second_time() -> None:
    items, faults = reading("id,title\n1,Un\n1,Deux\n")
    assert [item.payload["title"] for item in items] == ["Un"]
    assert [(fault.line, fault.field) for fault in faults] == [(3, "id")]


def test_a_misspelt_column_is_refused_and_named() -> None:
    with pytest.raises(ImportError_, match="titel"):
        reading("id,title,titel\n1,a,b\n")
    with pytest.raises(ImportError_, match="title"):
        reading("id,text\n1,a\n")


@pytest.mark.parametrize(
    ("format", "text", "column"),
    [
        ("csv", "id,title\n1,Un\n", "nope"),
        ("france-services", "id_fs,lib_fs,latitude,longitude\n", "insee"),
        ("data-inclusion", '[{"id": "1", "structure_id": "s", "nom": "Un"}]', "commune_insee"),
    ],
)
def test_a_filter_on_a_column_that_is_not_there_is_refused(
    format: str, text: str, column: str
) -> None:
    with pytest.raises(ImportError_, match=column):
        list(read(format, text.encode(), [Filter(column, "01")])[1])


def test_a_filter_on_a_known_column_that_this_table_leaves_out_takes_nothing() -> None:
    assert list(read("csv", b"id,title\n1,Un\n", [Filter("city", "Belley")])[1]) == []


def test_a_line_with_too_many_cells_is_refused() -> None:
    items, faults = reading("id,title\n1,Un,trop\n2,Deux\n")
    assert [item.id for item in items] == ["2"]
    assert [fault.line for fault in faults] == [2]


def test_the_same_row_always_makes_the_same_series() -> None:
    assert series_of("liste", "1") == series_of("liste", "1")
    assert len({series_of("a", "bc"), series_of("ab", "c"), series_of("a", "b")}) == 3


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        for _ in read("csv", b"id,title\n" + data)[1]:
            pass
    except ImportError_:
        pass
