"""Steps signed with key files on machines without network, by the nodes of two coops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.cli.app import run
from support.circuit import Circuit, circuit
from support.nodes import wait_for

TERMS = {
    "kind": "amount",
    "unit": "heure",
    "amount": 60,
    "fallback": {"name": "Accueil", "phone": "04 00 00 00 00"},
}


class Device:
    """Somebody's own device: a key file, and no node."""

    def __init__(self, two: Circuit, place: int, name: str, directory: Path) -> None:
        self.two, self.place, self.name = two, place, name
        self.directory = directory / name.split()[0]
        self.directory.mkdir()
        password = self.directory / "password"
        password.write_text("a long password\n")
        password.chmod(0o600)
        self.file = str(self.directory / "phone.key")
        self.password = ("--password-file", str(password))
        assert self.alone("device", "new", "-o", self.file) == 0
        code = two.coops.do(place, "device", "code", name)["code"]
        claimed = two.coops.do(
            place, "device", "claim", code, "--key-file", self.file, *self.password
        )
        assert claimed["dropped"]
        shown = two.coops.do(place, "person", "show", name)["devices"]
        self.public: str = next(d["key"] for d in shown if d["status"] == "active")

    def alone(self, *arguments: str) -> int:
        """Run a command with neither node nor directory of one; return its exit code."""
        return run(["--home", str(self.directory / "none"), *arguments, *self.password])

    def sign(self, file: Path, *step: str) -> int:
        """Sign a file."""
        return self.alone("exchange", "sign", str(file), *step, "--key-file", self.file, "--yes")

    def take(self, id: str, *step: str) -> Any:
        """Have a step drafted, sign it alone, and hand it in."""
        file = self.directory / "step.json"
        self.two.coops.do(
            self.place, "exchange", "draft", id, *step, "--key", self.public, "-o", str(file)
        )
        assert self.two.coops.refused(self.place, "exchange", "send", str(file))["code"] == "usage"
        assert self.sign(file) == 0
        return self.two.coops.do(self.place, "exchange", "send", str(file))

    def read(self) -> Any:
        """Open what waits for this device, hand it in, and return what became of it."""
        letters, opened = str(self.directory / "letters"), str(self.directory / "opened")
        self.two.coops.do(self.place, "letters", "fetch", self.name, "-o", letters)
        file = ("--key-file", self.file)
        assert self.alone("letters", "open", letters, *file, "-o", opened) == 0
        if not json.loads(Path(opened).read_bytes())["received"]:
            return {}
        return self.two.coops.do(self.place, "exchange", "send", opened)

    def reads_until(self, id: str, question: Callable[[Any], bool]) -> None:
        """Read letters until an exchange is as asked at this device's node."""

        def asked() -> bool:
            self.read()
            got = self.two.coops.coops[self.place].http.get(f"/v1/exchanges/{id}")
            return got.is_success and question(got.json())

        wait_for(asked, f"{self.name} has read it")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    with circuit(tmp_path_factory.mktemp("o")) as made:
        yield made


@pytest.mark.capability("MSA-5")
@pytest.mark.capability("CAH-32")
def test_work_begun_ended_and_approved_with_no_network_goes_through_later_and_once(
    two: Circuit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    need = two.demand("Couper du bois")
    asks = Device(two, 0, "Ana Exemple", tmp_path)
    gives = Device(two, 1, "Chloé Exemple", tmp_path)

    gives.take(need, "open")
    id = two.latest(1, "Couper du bois")
    gives.take(id, "quote", "--fields", json.dumps({"terms": TERMS}))
    asks.reads_until(id, lambda e: e["phase"] == "quoted")
    capfd.readouterr()
    asks.take(id, "accept")
    # The device is the one place where she can trust what she reads: it says what she agrees to.
    shown = capfd.readouterr().out
    assert "price: 1h00" in shown and "without the network: Accueil, 04 00 00 00 00" in shown
    assert "Otherwise it counts as approved." in shown
    ordered = asks.take(id, "hold")
    assert {payment["what"] for payment in ordered["payments"]} == {"hold"}
    gives.reads_until(id, lambda e: e["phase"] == "agreed" and e["hold"] is not None)

    pocket = tmp_path / "pocket.json"
    two.coops.do(1, "exchange", "draft", id, "--take-along", "-o", str(pocket))
    before = two.coops.do(1, "exchange", "transcript", id)["steps"]
    assert gives.sign(pocket, "check-in") == 0
    assert gives.sign(pocket, "check-out", "--minutes", "50") == 0
    signed = pocket.read_bytes()
    capfd.readouterr()
    assert gives.sign(pocket, "check-out") == 4
    assert "done, waits for approval" in capfd.readouterr().err
    assert pocket.read_bytes() == signed
    assert asks.sign(pocket, "approve") == 0
    assert two.coops.do(1, "exchange", "transcript", id)["steps"] == before

    sent = two.coops.do(1, "exchange", "send", str(pocket))
    assert [taken["outcome"] for taken in sent["taken"]] == ["new", "new", "new"]
    again = two.coops.do(1, "exchange", "send", str(pocket))
    assert [taken["outcome"] for taken in again["taken"]] == ["known", "known", "known"]
    assert len(two.coops.do(1, "exchange", "transcript", id)["steps"]) == len(before) + 3
    asks.reads_until(id, lambda e: e["phase"] == "accepted")
    asks.take(id, "confirm")
    twice = two.coops.do(0, "exchange", "send", str(asks.directory / "step.json"))
    assert [taken["outcome"] for taken in twice["taken"]] == ["known"]
    two.pays(0, id)
    two.coops.arrives(1, "Chloé Exemple", "heure", 60)


def test_a_file_whose_bytes_were_changed_is_not_signed(two: Circuit, tmp_path: Path) -> None:
    need = two.coops.do(
        0, "demand", "publish", "--title", "Lire des lettres", "--category", "aide"
    )["id"]
    wait_for(lambda: need in two.coops.coops[1].ids("demand"), "the demand is at both")
    bruno = Device(two, 1, "Bruno Exemple", tmp_path)
    file = tmp_path / "step.json"
    two.coops.do(1, "exchange", "draft", need, "open", "--key", bruno.public, "-o", str(file))
    document = json.loads(file.read_bytes())
    payload = document["items"][0]["payload"]
    document["items"][0]["payload"] = payload.replace("4c697265", "4c697275")
    assert document["items"][0]["payload"] != payload
    file.write_text(json.dumps(document))
    changed = file.read_bytes()
    assert bruno.sign(file) != 0
    assert file.read_bytes() == changed


def test_letters_for_a_device_wait_sealed_are_opened_there_and_then_forgotten(
    two: Circuit, tmp_path: Path
) -> None:
    helene = Device(two, 0, "Hélène Exemple", tmp_path)
    author = two.coops.do(0, "person", "show", "Hélène")["author"]
    two.coops.do(
        1, "exchange", "open", "--with", author, "--role", "provider", "--title", "Bonjour",
        "--by", "coop",
    )  # fmt: skip
    wait_for(lambda: two.coops.do(0, "letters", "list", "Hélène")["letters"], "a letter waits")
    letters = tmp_path / "letters.json"
    two.coops.do(0, "letters", "fetch", "Hélène", "-o", str(letters))
    assert b"Bonjour".hex() not in letters.read_text()
    assert [taken["outcome"] for taken in helene.read()["taken"]] == ["new"]
    assert two.coops.do(0, "letters", "list", "Hélène")["letters"] == []
    id = two.latest(0, "Bonjour")
    assert id and "letters fetch" not in two.words(0, "exchange", "show", id)
    # What the node shows is what was read: that there is more to read stands beside it.
    two.coops.do(1, "exchange", "message", id, "Encore un mot", "--by", "coop")
    wait_for(lambda: two.coops.do(0, "letters", "list", "Hélène")["letters"], "another one waits")
    shown = two.words(0, "exchange", "show", id)
    assert "1 letter waits for the device of Hélène Exemple" in shown
    assert "letters fetch 'Hélène Exemple'" in shown
    helene.read()
    assert "letters fetch" not in two.words(0, "exchange", "show", id)
