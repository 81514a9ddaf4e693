"""Services of the data·inclusion schema become offers, with their structure's place and contact."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maillon.node.importers import Fault, ImportError_, Item, guess_format, parse_filter, read
from maillon.node.importers.data_inclusion import reference
from maillon.node.importers.formats import combine

STRUCTURE = {
    "source": "essai",
    "id": "essai--s1",
    "nom": "Maison des services du Val",
    "date_maj": "2025-01-10",
    "adresse": "1 place du Marché",
    "code_postal": "01300",
    "commune": "Belley",
    "code_insee": "01034",
    "latitude": 45.76,
    "longitude": 5.69,
    "telephone": "04 00 00 00 00",
    "courriel": "accueil@val.example",
    "horaires_accueil": "Mo-Fr 09:00-12:00",
    "accessibilite_lieu": "https://acceslibre.example/val",
}
SERVICE: dict[str, Any] = {
    "source": "essai",
    "structure_id": "essai--s1",
    "id": "essai--1",
    "nom": "Aide à la rédaction de CV",
    "description": "Un atelier pour écrire son CV.",
    "date_maj": "2025-02-14",
    "thematiques": ["preparer-sa-candidature--realiser-un-cv-et-ou-une-lettre-de-motivation"],
    "publics": ["demandeurs-emploi", "jeunes"],
    "modes_accueil": ["en-presentiel", "a-distance"],
    "frais": "payant",
    "frais_precisions": "2 € par séance",
    "conditions_acces": "Sur inscription.",
    "contact_nom_prenom": "Prénom Nom",
    "courriel": "prenom.nom@val.example",
    "lien_source": "https://val.example/cv",
    "modes_mobilisation": ["telephoner"],
}


def reading(*entries: Any, where: tuple[str, ...] = ()) -> tuple[list[Item], list[Fault]]:
    data = json.dumps(list(entries)).encode()
    _source, found = read("data-inclusion", data, [parse_filter(text) for text in where])
    listed = list(found)
    return (
        [e for e in listed if isinstance(e, Item)],
        [e for e in listed if isinstance(e, Fault)],
    )


def test_a_service_takes_place_contact_and_hours_from_its_structure() -> None:
    items, _ = reading(STRUCTURE, SERVICE)
    payload = items[0].payload
    assert payload["place"]["lat"] == 45_760_000 and payload["place"]["city"] == "Belley"
    assert payload["contact"]["name"] == "Maison des services du Val"
    assert payload["contact"]["phone"] == "+33400000000"
    assert payload["when"]["hours"]["fr"] == [[540, 720]]
    assert payload["when"]["text"] == "Mo-Fr 09:00-12:00"
    assert payload["mode"] == ["on_site", "remote"]
    assert payload["audience"] == ["demandeurs-emploi", "jeunes"]
    assert payload["access"]["cost"] == "payant – 2 € par séance"
    assert payload["access"]["eligibility"] == "Sur inscription."
    assert payload["reciprocity"] == {"kind": "count_only"}
    assert payload["source"]["name"] == "data·inclusion – essai"
    assert payload["source"]["date"] == "2025-02-14"
    assert "Téléphoner" in payload["text"]


def test_no_person_is_named() -> None:
    items, faults = reading(STRUCTURE, SERVICE)
    assert "Prénom Nom" not in str(items[0].payload)
    assert "prenom.nom" not in str(items[0].payload)
    assert [fault.field for fault in faults] == ["courriel"]


def test_every_theme_of_the_reference_list_makes_a_valid_offer() -> None:
    for theme in reference("thematiques"):
        items, faults = reading(SERVICE | {"thematiques": [theme], "courriel": None})
        assert [fault for fault in faults if fault.fatal] == []
        assert items[0].payload["categories"] == [theme]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "id"),
        ({"nom": ""}, "nom"),
        ({"description": None}, "description"),
        ({"thematiques": []}, "thematiques"),
        ({"thematiques": ["inconnue"]}, "thematiques"),
        ({"thematiques": "texte"}, "thematiques"),
        ({"nom": 3}, "nom"),
        ({"latitude": "x", "longitude": 1}, "latitude"),
    ],
)
def test_a_wrong_service_is_refused_with_its_number_and_field(
    change: dict[str, Any], field: str
) -> None:
    items, faults = reading(STRUCTURE, SERVICE | change)
    assert items == []
    fatal = [fault for fault in faults if fault.fatal]
    assert [(fault.line, fault.field) for fault in fatal] == [(2, field)]


def test_values_outside_the_reference_lists_are_left_out_and_told() -> None:
    items, faults = reading(SERVICE | {"publics": ["seniors", "martiens"], "courriel": None})
    assert items[0].payload["audience"] == ["seniors"]
    assert [(fault.field, fault.fatal) for fault in faults] == [("publics", False)]


def test_a_filter_looks_into_lists_too() -> None:
    items, _ = reading(SERVICE, where=("publics=jeunes",))
    assert len(items) == 1
    items, _ = reading(SERVICE, where=("publics=seniors",))
    assert items == []


def test_lists_lines_and_pairs_of_files_are_the_same() -> None:
    lines = "\n".join(json.dumps(entry) for entry in (STRUCTURE, SERVICE)).encode()
    pair = json.dumps({"structures": [STRUCTURE], "services": [SERVICE]}).encode()
    apart = combine([json.dumps([SERVICE]).encode(), json.dumps([STRUCTURE]).encode()])
    wanted, _ = reading(STRUCTURE, SERVICE)
    for data in (lines, pair, apart):
        assert guess_format(data) == "data-inclusion"
        found = [e for e in read("data-inclusion", data)[1] if isinstance(e, Item)]
        assert [item.payload for item in found] == [item.payload for item in wanted]


@pytest.mark.parametrize("data", [b"", b"{", b"3", b'"text"', b"[" * 100_000, b"{}\n{"])
def test_what_is_no_list_of_services_is_refused_whole(data: bytes) -> None:
    with pytest.raises(ImportError_):
        list(read("data-inclusion", data)[1])


def test_entries_that_are_no_objects_keep_their_place_in_the_count() -> None:
    items, faults = reading(3, None, SERVICE | {"courriel": None})
    assert [item.line for item in items] == [3]
    assert [fault.line for fault in faults if fault.fatal] == [1, 2]
