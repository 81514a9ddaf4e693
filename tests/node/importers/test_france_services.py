"""The published list of France services places becomes offers, all of it, naming nobody."""

from __future__ import annotations

import csv
import io

import pytest

from maillon.node.data import france_services
from maillon.node.importers import Fault, ImportError_, Item, parse_filter, read, source_ids
from maillon.node.importers.base import organisation_email

HEADER = (
    "id_fs,insee_dep,lib_fs,adresse,complement_adresse,insee_com,code_postal,lib_com,latitude,"
    "longitude,mail,telephone,h_lundi,h_mardi,h_mercredi,h_jeudi,h_vendredi,h_samedi,prise_rdv,"
    "commentaire,type_fs,format_fs,groupe_fs,labellisation_fs"
)


def reading(data: bytes, *where: str) -> tuple[list[Item], list[Fault]]:
    _source, found = read("france-services", data, [parse_filter(text) for text in where])
    entries = list(found)
    return (
        [e for e in entries if isinstance(e, Item)],
        [e for e in entries if isinstance(e, Fault)],
    )


def line(**cells: str) -> bytes:
    given = {"id_fs": "7", "lib_fs": "Maison", "latitude": "46.1", "longitude": "5.8", **cells}
    out = io.StringIO()
    csv.writer(out).writerow([given.get(name, "") for name in HEADER.split(",")])
    return f"{HEADER}\n{out.getvalue()}".encode()


def test_every_line_of_the_real_list_is_taken() -> None:
    items, faults = reading(france_services())
    assert len(items) == 2_845
    assert [fault for fault in faults if fault.fatal] == []
    assert len({item.id for item in items}) == 2_845
    assert len(source_ids("france-services", france_services())) == 2_845


def test_a_fixed_place_is_read_field_by_field() -> None:
    items, _ = reading(france_services(), "id_fs=1")
    (item,) = items
    payload = item.payload
    assert payload["title"] == "France services de Valserhône"
    assert payload["mode"] == ["on_site"]
    assert payload["place"]["lat"] == 46_106_071 and payload["place"]["public"] is True
    assert payload["place"]["insee"] == "01033" and payload["place"]["postcode"] == "01200"
    assert payload["when"]["hours"]["mo"] == [[810, 1020]]
    assert "sa" not in payload["when"]["hours"]
    assert payload["contact"]["phone"] == "+33450568749"
    assert payload["contact"]["email"] == "franceservices@ccpb01.fr"
    assert payload["access"]["appointment"] == "sans rendez-vous"
    assert payload["source"] == {
        "name": "France services (ANCT)",
        "id": "1",
        "date": "2024-08-01",
        "licence": "Licence Ouverte 2.0",
        "url": "https://www.data.gouv.fr/fr/datasets/liste-des-structures-france-services/",
    }


def test_a_bus_is_itinerant_and_its_round_stays_readable() -> None:
    items, _ = reading(france_services(), "id_fs=8")
    assert items[0].payload["mode"] == ["itinerant"]
    assert "Bus circulant" in items[0].payload["when"]["text"]


def test_a_filter_keeps_the_lines_of_one_departement() -> None:
    items, _ = reading(france_services(), "insee_dep=01")
    assert len(items) == 24
    assert {item.payload["place"]["insee"][:2] for item in items} == {"01"}
    begun, _ = reading(france_services(), "code_postal=0120*")
    assert {item.payload["place"]["postcode"][:4] for item in begun} == {"0120"}


def test_mailboxes_of_persons_are_left_out_and_told() -> None:
    items, faults = reading(france_services())
    told = {fault.line for fault in faults if fault.field == "mail"}
    without = {item.line for item in items if "email" not in item.payload["contact"]}
    assert told <= without and len(told) > 50
    for text in ("firstname.lastname@commune.example", "j.dupont@cc.example"):
        assert organisation_email(text) is None
    for text in (
        "france-services@ccvo.fr",
        "lenouvion@france-services.gouv.fr",
        "msap.sedan@example.org",
    ):
        assert organisation_email(text) == text
    assert organisation_email("val.suran@cc.example", "Maison du Val Suran") is not None


def test_the_name_of_a_contact_person_in_a_comment_is_left_out() -> None:
    data = line(commentaire="Itinérances le lundi // Contact : Prénom - 06.00.00.00.00")
    items, _ = reading(data)
    assert "Prénom" not in str(items[0].payload) and "06.00" not in str(items[0].payload)
    assert "Itinérances le lundi" in items[0].payload["text"]


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"id_fs": ""}, "id_fs"),
        ({"lib_fs": ""}, "lib_fs"),
        ({"latitude": "nord"}, "latitude"),
        ({"latitude": "123"}, "latitude"),
        ({"latitude": "0", "longitude": "0"}, "latitude"),
        ({"latitude": "nan"}, "latitude"),
    ],
)
def test_a_line_without_what_it_needs_is_refused_with_its_number_and_column(
    cells: dict[str, str], field: str
) -> None:
    items, faults = reading(line(**cells))
    assert items == []
    assert [(fault.line, fault.field, fault.fatal) for fault in faults] == [(2, field, True)]
    assert faults[0].message.endswith(".")


def test_line_numbers_count_lines_of_the_file_and_not_rows() -> None:
    first = line(commentaire="deux\nlignes").decode()
    second = line(id_fs="8", latitude="x").decode().split("\n", 1)[1]
    _, faults = reading((first + second).encode())
    assert [fault.line for fault in faults] == [4]


def test_unreadable_hours_are_told_and_shown_as_published() -> None:
    items, faults = reading(line(h_lundi="09:00 - 12:00 / 11:00 - 13:00"))
    assert [fault.field for fault in faults] == ["h_lundi"]
    assert "hours" not in items[0].payload["when"]
    assert "lundi 09:00 - 12:00 / 11:00 - 13:00" in items[0].payload["when"]["text"]


def test_a_file_of_something_else_is_refused_whole() -> None:
    for data in (b"", b"a,b\n1,2\n", b"\x00\x81\xff"):
        with pytest.raises(ImportError_):
            reading(data)


def test_windows_text_with_semicolons_is_read_too() -> None:
    data = line(lib_fs="Maison des Cévennes").decode().replace(",", ";").encode("cp1252")
    items, _ = reading(data)
    assert items[0].payload["title"] == "Maison des Cévennes"
