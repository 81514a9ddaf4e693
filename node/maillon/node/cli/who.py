"""Find the account or the person whom a command names: by name, by id, or as COOP:ACCOUNT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maillon.node.cli import base
from maillon.node.cli.paths import path_part
from maillon.node.cli.refusals import COMMONS
from maillon.node.i18n import _
from maillon.node.naming import COMMONS_WORDS, key_of, same_name

if TYPE_CHECKING:
    from maillon.node.cli.client import Client

ACCOUNT_CHARACTERS = 2 * 16
KEY_CHARACTERS = 2 * 32
NAMED_MAX = 6
# Eight and more: a name of a few letters such as "ada" is not the beginning of an id.
_ID = re.compile(r"[0-9a-f]{8,64}")
# A number alone could be of any unit: a guess would give credits to who meant hours.
_SAYS_HOURS = re.compile(r"\d *(?:h|m|:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """An account on the chain of a coop; ids are hexadecimal."""

    coop: str
    account: str
    name: str
    here: bool

    @property
    def address(self) -> str:
        """Return how other coops name this account."""
        return f"{self.coop}:{self.account}"


def looks_like_id(text: str) -> bool:
    """Tell whether a word can be an id or the beginning of one."""
    return _ID.fullmatch(text.strip().rstrip("…").lower()) is not None


def the_one(wanted: str, found: list[tuple[str, str]], none: Exception) -> tuple[str, str]:
    """Return the only (id, name). Raises: `none`, or LocalError naming those that it could be."""
    distinct = dict(found)
    if not distinct:
        raise none
    if len(distinct) > 1:
        listed = ", ".join(
            f"{base.printable(name) or '–'} ({id[:8]})"
            for id, name in list(distinct.items())[:NAMED_MAX]
        )
        raise base.problem(
            "ambiguous",
            _("{text!r} could be several: {names}.").format(text=wanted, names=listed),
            _("Give the id, or the whole name."),
        )
    return next(iter(distinct.items()))


def hex_key(text: str, option: str) -> str:
    """Return 32 bytes given as hexadecimal characters. Raises: LocalError naming the option."""
    wanted = text.strip().lower()
    if not looks_like_id(wanted) or len(wanted) != KEY_CHARACTERS:
        raise base.problem(
            "usage",
            _("{option} takes {n} characters 0-9 and a-f.").format(option=option, n=KEY_CHARACTERS),
        )
    return wanted


def require_ledger(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the node tells of its ledger. Raises: LocalError when there is none."""
    if not answer["enabled"]:
        raise base.problem(
            "no_ledger",
            _("This federation was founded without accounts."),
            _("Accounts need a founding document that names units and witnesses: see docs/cli.md"),
        )
    return answer


class Directory:
    """Whom this node knows: the people of the coop by name, accounts and coops of the federation.

    Names come from the node's own register; of the members of other coops only ids are known.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._members: list[dict[str, Any]] | None = None
        self._accounts: dict[str, list[dict[str, Any]]] = {}
        self._charter: dict[str, Any] | None = None
        self._own = ""

    # --- what is known, asked for once ----------------------------------------------------------

    @property
    def own_coop(self) -> str:
        """Return the id of the coop whose node this is."""
        if not self._own:
            self._own = str(self.client.get("/v1/status")["coop"])
        return self._own

    def members(self) -> list[dict[str, Any]]:
        if self._members is None:
            self._members = list(self.client.get("/v1/members")["members"])
        return self._members

    def charter(self) -> dict[str, Any]:
        """Return the charter. Raises: LocalError where the federation keeps no accounts."""
        if self._charter is None:
            self._charter = require_ledger(self.client.get("/v1/charter"))
        return self._charter

    def accounts(self, coop: str = "") -> list[dict[str, Any]]:
        """Return the accounts of a coop, of the own one without an id."""
        if coop not in self._accounts:
            data = self.client.get("/v1/accounts", coop=coop or None, all=True)
            self._accounts[coop] = list(data["accounts"])
        return self._accounts[coop]

    def coop_name(self, coop: str) -> str:
        """Return the name of a coop of the charter, or the beginning of its id."""
        names = {entry["coop"]: entry["name"] for entry in self.charter()["coops"]}
        return base.printable(names.get(coop) or coop[:8])

    # --- people ---------------------------------------------------------------------------------

    def person(self, text: str) -> str:
        """Return the id of a person of this coop, named or given by the beginning of the id.

        Raises: LocalError that says who could be meant.
        """
        wanted = text.strip().rstrip("…")
        if not wanted:
            path_part(wanted)  # says so
        if looks_like_id(wanted):
            return wanted.lower()  # the node completes it, and says so when it fits nobody
        people = [(m["name"], (m["person"], m["name"])) for m in self.members()]
        none = base.problem(
            "not_found",
            _("Nobody of your coop is called {name!r}.").format(name=wanted[:80]),
            _("See the names and ids with: maillon member list"),
        )
        return the_one(wanted, same_name(wanted, people), none)[0]

    def key(self, text: str) -> str:
        """Return a public key: given itself, or the newest of a person of this coop."""
        wanted = text.strip().lower()
        if looks_like_id(wanted) and len(wanted) == KEY_CHARACTERS:
            return wanted
        person = self.person(text)
        valid = [m for m in self.members() if m["status"] == "active"]
        keys = [m["key"] for m in valid if m["person"].startswith(person)]
        if not keys:
            raise base.problem("not_found", _("{name} has no valid key.").format(name=text))
        return str(keys[-1])

    def acting_under(self, payer: Place, mandate: str) -> dict[str, str]:
        """Return what a transfer says of the mandate that it is given under, by its beginning.

        Raises: LocalError when the account has no such mandate, or its delegate's key is not here.
        """
        wanted = mandate.strip().rstrip("…").lower()
        given: list[dict[str, Any]] = [
            entry
            for account in self.accounts()
            if account["account"] == payer.account
            for entry in account["mandates"]
        ]
        found = [(str(e["mandate"]), "") for e in given if str(e["mandate"]).startswith(wanted)]
        none = base.problem(
            "mandate_unknown",
            _("There is no such mandate on the account; it was never given, or was ended."),
            _("See them with: maillon account show NAME"),
        )
        id, _name = the_one(mandate, found if wanted else [], none)
        key = next(entry["key"] for entry in given if entry["mandate"] == id)
        holder = [m["person"] for m in self.members() if m["key"] == key]
        if not holder:
            raise base.problem(
                "key_missing",
                _("The key of this mandate is of nobody whom your node knows."),
                _("Whoever holds it signs on their own device."),
            )
        return {"mandate": id, "key_of": str(holder[0])}

    # --- units ----------------------------------------------------------------------------------

    def kept_units(self) -> list[str]:
        """Return the codes of the units in which accounts have a balance."""
        return [unit["code"] for unit in self.charter()["units"] if unit["kind"] != "count"]

    def counts_only(self, code: str) -> bool:
        """Tell whether exchanges in a unit are counted and nobody owes anything."""
        return any(u["code"] == code and u["kind"] == "count" for u in self.charter()["units"])

    def name_of_key(self, key: str) -> str:
        """Return whose key it is, as far as this node knows, or its beginning."""
        names = [m["name"] for m in self.members() if m["key"] == key]
        return base.printable(names[0]) if names and names[0] else key[:16]

    def unit(self, code: str | None, amount: str = "", place: Place | None = None) -> str:
        """Return the code of a unit; without one, of the only unit that can be meant.

        That is the only one of the federation, or in which the account is kept, or the only one
        counted in hours when the amount says hours or minutes. Raises: LocalError.
        """
        codes = [str(unit["code"]) for unit in self.charter()["units"]]
        if code is None:
            usual = self.kept_units() or codes
            kept = [unit for unit in usual if unit in self._units_of(place)]
            usual = kept or usual
            if len(usual) > 1 and _SAYS_HOURS.search(amount):
                hours = [u["code"] for u in self.charter()["units"] if u["kind"] == "hours"]
                usual = [unit for unit in usual if unit in hours] or usual
            if len(usual) == 1:
                return usual[0]
            what = _("The federation has several units: {codes}.").format(codes=", ".join(codes))
            raise base.problem("usage", what, _("Say which with --unit CODE."))
        found = [known for known in codes if key_of(known) == key_of(code)]
        if not found:
            what = _("The federation has no unit {code!r}.").format(code=code[:32])
            hint = _("There are: {names}.").format(names=", ".join(codes) or "–")
            raise base.problem("usage", what, hint)
        return found[0]

    def _units_of(self, place: Place | None) -> list[str]:
        """Return the units in which an account is kept, as far as this node knows."""
        if place is None:
            return []
        return [
            str(position["code"])
            for account in self.accounts("" if place.here else place.coop)
            if account["account"] == place.account
            for position in account["positions"]
        ]

    # --- coops ----------------------------------------------------------------------------------

    def coop(self, text: str) -> tuple[str, str]:
        """Return id and name of a coop of the charter, by name or by the beginning of its id."""
        wanted = text.strip().rstrip("…")
        coops: list[dict[str, Any]] = self.charter()["coops"]
        if looks_like_id(wanted):
            found = [(c["coop"], c["name"]) for c in coops if c["coop"].startswith(wanted.lower())]
        else:
            found = same_name(wanted, [(c["name"], (c["coop"], c["name"])) for c in coops])
        none = base.problem(
            "not_found",
            _("No coop of the charter is called {name!r}.").format(name=wanted[:80]),
            _("See them with: maillon charter show"),
        )
        return the_one(wanted, found, none)

    # --- accounts -------------------------------------------------------------------------------

    def account(self, text: str) -> Place:
        """Return the account that a text names: NAME, ID, `commons`, or COOP:ACCOUNT.

        Raises: LocalError that says what could be meant.
        """
        coop_text, colon, rest = text.strip().rpartition(":")
        if colon:
            coop, _name = self.coop(coop_text)
            here = coop == self.own_coop
            return self._account_of("" if here else coop, rest, coop, here=here)
        return self._account_of("", text, self.own_coop, here=True)

    def _account_of(self, asked: str, text: str, coop: str, *, here: bool) -> Place:
        wanted = text.strip().rstrip("…")
        if key_of(wanted) in COMMONS_WORDS:
            return Place(coop, COMMONS, _("commons"), here)
        if looks_like_id(wanted) and len(wanted) == ACCOUNT_CHARACTERS:
            # Whole ids need not be known here: the chain of another coop may be ahead of ours.
            known = [a for a in self.accounts(asked) if a["account"] == wanted.lower()]
            name = str(known[0].get("name") or "") if known else ""
            return Place(coop, wanted.lower(), name, here)
        entries = [(str(a.get("name") or ""), a["account"]) for a in self.accounts(asked)]
        if here:
            # Who has no account yet is found too: the node then says that an account is missing.
            entries += [(m["name"], m["person"]) for m in self.members()]
        if looks_like_id(wanted):
            found = [(id, name) for name, id in entries if id.startswith(wanted.lower())]
        else:
            found = same_name(wanted, [(name, (id, name)) for name, id in entries])
        account, name = the_one(wanted, found, self._no_account(wanted, here=here))
        return Place(coop, account, name, here)

    def _no_account(self, wanted: str, *, here: bool) -> Exception:
        what = _("There is no account called {name!r}.").format(name=wanted[:80])
        if here:
            hint = _(
                "See the accounts with: maillon account list. An account of another coop is "
                "written COOP:ACCOUNT, as its holder tells you."
            )
        else:
            hint = _("Names stay with their coop: ask its holder for the id of the account.")
        return base.problem("not_found", what, hint)


def directory() -> Directory:
    """Return the directory that the running command asks."""
    return Directory(base.state().client())
