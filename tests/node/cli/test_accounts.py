"""Accounts and transfers by the commands that people type, at the running node of a lone coop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.exchanges import Exchanges, federation


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanges]:
    units = ("heure:hours:Heure", "grain:credit:Grain")
    with federation(tmp_path_factory.mktemp("l"), "a", units=units) as made:
        made.do(0, "account", "limit", "commons", "1h", "--unit", "heure")
        for name in ("Ana Exemple", "Ana Autre", "Bruno Exemple", "Éloïse Exemple"):
            made.enrol(0, name, "--unit", "heure", "--limit", "10h")
        yield made


def words(coops: Exchanges, *arguments: str) -> str:
    told = coops.tell(0, *arguments, as_json=False)
    assert told.code == 0, told.err
    return " ".join(told.out.split())


def test_the_everyday_transfer_is_one_short_line_and_is_told_in_one(lone: Exchanges) -> None:
    told = words(lone, "transfer", "bruno", "eloise", "1h30", "--unit", "heure", "--memo", "Haie")
    assert "Bruno Exemple gave 1h30 to Éloïse Exemple" in told and "final" in told
    statement = words(lone, "account", "statement", "Eloise")
    assert "received" in statement and "Bruno Exemple" in statement and "Haie" in statement
    assert "+1h30" in statement
    assert " -1h30" in words(lone, "account", "statement", "bruno")


def test_over_the_limit_says_balance_limit_and_what_is_possible(lone: Exchanges) -> None:
    before = lone.do(0, "account", "list")["accounts"]
    told = lone.tell(
        0, "transfer", "Ana Exemple", "Bruno Exemple", "10h01", "--unit", "heure", as_json=False
    )
    assert told.code == 4 and told.out == ""
    assert "10h" in told.err.splitlines()[0]
    assert "10h00 at most can be given now" in told.err
    error = lone.refused(0, "transfer", "Ana Exemple", "Bruno", "10h01", "--unit", "heure")
    assert error["code"] == "over_limit"
    assert (error["facts"]["available"], error["facts"]["limit"]) == (600, 600)
    assert lone.do(0, "account", "list")["accounts"] == before


@pytest.mark.parametrize(
    "command",
    [
        ("account", "open", "Ana Exemple", "--key", "abcd"),
        ("account", "recover", "Ana Exemple", "--key", "abcd"),
        ("account", "keys", "Ana Exemple", "--add", "abcd"),
        ("account", "keys", "Ana Exemple"),
        ("account", "statement", "Ana Exemple", "--from", "tomorrow", "--to", "2020-01-01"),
        ("account", "open", "Ana Exemple", "--everybody"),
        ("transfer", "confirm", "9c01d2aa", "--preimage", "abcd"),
        ("charter", "replace-key", "Coop A", "--witness", "abcd"),
        ("charter", "replace-key", "Coop A"),
        ("charter", "trustee", "Coop A"),
        ("charter", "unit", "noix"),
    ],
)
def test_a_command_that_is_written_wrong_is_a_usage_error(
    lone: Exchanges, command: tuple[str, ...]
) -> None:
    error = lone.refused(0, *command)
    assert (error["code"], error["exit"]) == ("usage", 2), error


def test_a_name_that_fits_several_is_asked_back_with_their_ids(lone: Exchanges) -> None:
    error = lone.refused(0, "transfer", "Ana", "Bruno", "5min", "--unit", "heure")
    assert error["code"] == "ambiguous"
    assert "Ana Exemple (" in error["message"] and "Ana Autre (" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code", "word"),
    [
        (("Nobody", "Bruno", "5min", "--unit", "heure"), "not_found", 4, "account list"),
        (("Bruno", "Nowhere:4f0a12cd", "5min", "--unit", "heure"), "not_found", 4, "charter show"),
        (("Bruno", "Éloïse", "5"), "amount_text", 2, "1h30"),
        (("Bruno", "Éloïse", "5min", "--unit", "franc"), "usage", 2, "grain"),
        (("Bruno", "Éloïse", "soon", "--unit", "heure"), "amount_text", 2, "1h30"),
        (("Bruno", "Éloïse", "1h", "--unit", "grain"), "amount_text", 2, ""),
        (("Bruno", "Éloïse", "12.50", "--unit", "grain"), "wrong_unit", 4, "account limit"),
        (("Bruno", "Bruno", "5min", "--unit", "heure"), "wrong_account", 4, ""),
        (("Bruno", "Éloïse", "5min", "--unit", "heure", "--hold"), "usage", 2, "--until"),
        (("Bruno", "Éloïse", "5min", "--unit", "heure", "--until", "3d"), "usage", 2, ""),
        (
            ("Bruno", "Éloïse", "5min", "--unit", "heure", "--category", "Été !"),
            "usage", 2, "lien-social",
        ),
        (
            ("Bruno", "Éloïse", "5min", "--unit", "heure", "--hold", "--until", "3d",
             "--hashlock", "xyz"),
            "usage", 2, "--hashlock",
        ),
        (
            ("Bruno", "Éloïse", "5min", "--unit", "heure", "--hold", "--until", "2020-01-01"),
            "account", 4, "",
        ),
        (
            ("Bruno", "Éloïse", "5min", "--unit", "heure", "--mandate", "61ab02c4"),
            "mandate_unknown", 4, "account show",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(
    lone: Exchanges, arguments: tuple[str, ...], code: str, exit_code: int, word: str
) -> None:
    before = lone.do(0, "account", "list")["accounts"]
    error = lone.refused(0, "transfer", "send", *arguments)
    assert (error["code"], error["exit"]) == (code, exit_code), error
    assert word in error["message"] + str(error["hint"])
    assert lone.do(0, "account", "list")["accounts"] == before


def test_the_commons_says_how_it_takes_part_in_a_unit(lone: Exchanges) -> None:
    lone.do(0, "account", "limit", "Ana Autre", "5", "--unit", "grain")
    command = ("transfer", "Ana Autre", "commons", "1.50", "--unit", "grain")
    error = lone.refused(0, *command)
    assert error["code"] == "wrong_unit" and "account limit commons 0" in error["hint"]
    lone.do(0, "account", "limit", "commons", "0", "--unit", "grain")
    lone.do(0, *command)
    assert lone.balance(0, "commons", "grain") == 150


def test_zero_and_less_are_refused(lone: Exchanges) -> None:
    for amount in ("0", "0h00", "-5min"):
        told = lone.tell(0, "transfer", "send", "--unit", "heure", "--", "Bruno", "Éloïse", amount)
        assert told.code in (2, 4), (amount, told)
        assert told.out == ""


def test_a_reservation_is_given_when_confirmed_and_given_back_when_released(
    lone: Exchanges,
) -> None:
    start = lone.balance(0, "Ana Autre", "heure")
    hold = ("--unit", "heure", "--hold", "--until", "30d")
    first = lone.do(0, "transfer", "Ana Autre", "Bruno", "2h", *hold)
    assert first["status"] == "held"
    held = lone.position(0, "Ana Autre", "heure")
    assert (held["balance"], held["held"]) == (start, 120)
    lone.do(0, "transfer", "confirm", first["id"][:12])
    given = lone.position(0, "Ana Autre", "heure")
    assert (given["balance"], given["held"]) == (start - 120, 0)

    second = lone.do(0, "transfer", "Ana Autre", "Bruno", "1h", *hold)
    lone.do(0, "transfer", "release", second["id"])
    back = lone.position(0, "Ana Autre", "heure")
    assert (back["balance"], back["held"]) == (start - 120, 0)
    error = lone.refused(0, "transfer", "confirm", second["id"])
    assert error["exit"] == 4


def test_a_mistake_is_undone_by_a_transfer_the_other_way(lone: Exchanges) -> None:
    before = [lone.balance(0, name, "heure") for name in ("Bruno", "Éloïse")]
    done = lone.do(0, "transfer", "Bruno", "Éloïse", "1h", "--unit", "heure")
    lone.do(0, "transfer", "reverse", done["id"], "--memo", "Saisi deux fois")
    assert [lone.balance(0, name, "heure") for name in ("Bruno", "Éloïse")] == before
    # Given twice, it is undone once.
    error = lone.refused(0, "transfer", "reverse", done["id"])
    assert (error["code"], error["exit"]) == ("already_reversed", 4) and "1h00" in error["message"]
    assert [lone.balance(0, name, "heure") for name in ("Bruno", "Éloïse")] == before
    assert lone.do(0, "transfer", "show", done["id"])["transfer"]["status"] == "certified"


def test_a_transfer_is_shown_with_who_signed_it_and_why_it_is_final(lone: Exchanges) -> None:
    done = lone.do(0, "transfer", "Bruno", "Éloïse", "10min", "--unit", "heure", "--memo", "Pain")
    told = words(lone, "transfer", "show", done["id"][:10])
    for word in ("Bruno Exemple", "Éloïse Exemple", "Pain", "payer", "witness", "final"):
        assert word in told, told
    assert done["id"] in told


def test_accounts_are_listed_with_what_can_still_be_given(lone: Exchanges) -> None:
    told = words(lone, "account", "list")
    assert "commons" in told and "Ana Exemple" in told and "10h" in told
    near = lone.do(0, "account", "list", "--near-limit")["accounts"]
    assert all(p["available"] * 5 < p["limit"] for a in near for p in a["positions"])


def test_everybody_without_an_account_gets_one_and_nobody_two(lone: Exchanges) -> None:
    lone.do(0, "member", "add", "Nouvelle Une")
    lone.do(0, "member", "add", "Nouveau Deux")
    made = lone.do(0, "account", "open", "--everybody", "--unit", "heure", "--limit", "1h")
    assert len(made["opened"]) == 2 and made["faults"] == []
    again = lone.do(0, "account", "open", "--everybody", "--unit", "heure", "--limit", "1h")
    assert again["opened"] == []
    error = lone.refused(0, "account", "open", "Nouvelle Une", "--unit", "heure")
    assert error["code"] == "account_exists"


def test_an_account_closes_at_zero_only_and_then_takes_no_more(lone: Exchanges) -> None:
    lone.enrol(0, "Partante", "--unit", "heure", "--limit", "1h")
    lone.do(0, "transfer", "Partante", "commons", "15min", "--unit", "heure")
    error = lone.refused(0, "account", "close", "Partante")
    assert error["code"] == "account_in_use" and error["exit"] == 4
    lone.do(0, "transfer", "commons", "Partante", "15min", "--unit", "heure")
    lone.do(0, "account", "close", "Partante")
    error = lone.refused(0, "transfer", "Bruno", "Partante", "5min", "--unit", "heure")
    assert error["code"] in ("account_closed", "not_found")


def test_a_new_key_is_shown_with_the_day_from_which_it_counts(lone: Exchanges) -> None:
    lone.enrol(0, "Oublieuse", "--unit", "heure")
    lone.do(0, "account", "recover", "Oublieuse")
    shown = lone.do(0, "account", "show", "Oublieuse")
    assert len(shown["pending_keys"]) == 1
    assert "counts from" in words(lone, "account", "show", "Oublieuse")
    lone.do(0, "account", "keys", "Oublieuse", "--stop-recovery")
    assert lone.do(0, "account", "show", "Oublieuse")["pending_keys"] == []


def test_who_may_give_from_an_account_is_shown_and_ended(lone: Exchanges) -> None:
    lone.enrol(0, "Aidée", "--unit", "heure", "--limit", "5h")
    given = lone.do(
        0, "account", "allow", "Aidée", "Bruno Exemple", "2h", "--unit", "heure", "--until", "90d"
    )
    assert given["mandate"]
    assert given["mandate"][:16] in words(lone, "account", "show", "Aidée")
    under = ("--unit", "heure", "--mandate", given["mandate"][:8])
    lone.do(0, "transfer", "Aidée", "commons", "5min", *under)
    lone.do(0, "account", "disallow", "Aidée", given["mandate"])
    error = lone.refused(0, "transfer", "Aidée", "commons", "5min", *under)
    assert error["code"] == "mandate_unknown"


def test_a_member_is_named_where_an_offer_is_published_for_them(lone: Exchanges) -> None:
    made = lone.do(
        0, "offer", "publish", "--title", "Haies", "--category", "jardin",
        "--as-member", "eloise exemple",
    )  # fmt: skip
    shown = lone.do(0, "offer", "show", made["id"])
    (member,) = [
        m for m in lone.do(0, "member", "list")["members"] if m["name"] == "Éloïse Exemple"
    ]
    assert shown["by"] == member["key"]
    error = lone.refused(
        0, "offer", "publish", "--title", "Haies", "--category", "jardin", "--as-member", "Ana"
    )
    assert error["code"] == "ambiguous"


def test_the_ledger_of_a_lone_coop_says_that_nobody_vouches_for_it_and_adds_up(
    lone: Exchanges,
) -> None:
    status = lone.do(0, "ledger", "status")
    assert status["quorum"] == 1 and status["witnesses"][0]["own"]
    told = words(lone, "ledger", "status")
    assert "1 of 1 witness" in told and "this node" in told
    report = lone.do(0, "ledger", "verify")
    assert report["good"] and {total["balance"] for total in report["sums"]} == {0}
    assert "sum 0" in words(lone, "ledger", "verify")
    assert lone.do(0, "ledger", "fork-proofs")["proofs"] == []
    assert lone.total("heure") == 0


def test_a_lone_coop_changes_its_charter_by_itself(lone: Exchanges) -> None:
    before = lone.do(0, "charter", "show")
    made = lone.do(0, "charter", "unit", "noix:credit:Noix", "--decimals", "1")
    assert made["status"] == "certified"
    after = lone.do(0, "charter", "show")
    assert after["height"] == before["height"] + 1
    assert [u["code"] for u in after["units"]] == ["heure", "grain", "noix"]
    error = lone.refused(0, "charter", "quorum", "2")
    assert error["exit"] == 4
    assert lone.do(0, "charter", "show")["height"] == after["height"]
    assert "noix" in words(lone, "charter", "show")


def test_the_unit_is_only_asked_for_where_several_can_be_meant(lone: Exchanges) -> None:
    lone.enrol(0, "Deux Unités", "--limit", "heure=2h", "--limit", "grain=5")
    before = lone.do(0, "account", "list")["accounts"]
    error = lone.refused(0, "transfer", "Deux Unités", "Bruno Exemple", "1")
    assert (error["code"], error["exit"]) == ("usage", 2) and "--unit" in error["hint"]
    error = lone.refused(0, "account", "limit", "Deux Unités", "7")
    assert error["code"] == "usage" and "--unit" in error["hint"]
    assert lone.do(0, "account", "list")["accounts"] == before
    # Minutes can only be of the unit that is counted in them.
    lone.do(0, "transfer", "Deux Unités", "Bruno Exemple", "5min")
    assert lone.balance(0, "Deux Unités", "heure") == -5
    lone.do(0, "transfer", "Bruno Exemple", "Deux Unités", "5min")
    # An account that is kept in one unit leaves nothing to ask.
    lone.do(0, "account", "limit", "Bruno Exemple", "11h")
    assert lone.position(0, "Bruno Exemple", "heure")["limit"] == 660
    lone.do(0, "account", "limit", "Bruno Exemple", "10h")


def test_an_account_opens_with_limits_in_several_units(lone: Exchanges) -> None:
    lone.do(0, "member", "add", "Trois Limites")
    limits = ("--limit", "heure=2h", "--limit", "grain=5", "--max", "grain=50")
    lone.do(0, "account", "open", "Trois Limites", *limits)
    assert lone.position(0, "Trois Limites", "heure")["limit"] == 120
    grain = lone.position(0, "Trois Limites", "grain")
    assert (grain["limit"], grain["max"]) == (500, 5_000)
    lone.do(0, "member", "add", "Sans Compte")
    for wrong in (("franc=3",), ("3",), ("grain=3", "--unit", "heure")):
        error = lone.refused(0, "account", "open", "Sans Compte", "--limit", *wrong)
        assert error["code"] == "usage", error
    assert lone.refused(0, "account", "show", "Sans Compte")["code"] == "not_found"


def test_what_is_done_is_told_with_how_it_stands_now(lone: Exchanges) -> None:
    lone.enrol(0, "Léa Debout", "--limit", "heure=2h")
    told = words(lone, "transfer", "Léa Debout", "Bruno Exemple", "30min")
    assert "Léa Debout stands at -30 min and can give 1h30." in told
    id = told.split("It is final: ")[1].split()[0]
    back = words(lone, "transfer", "reverse", id)
    assert "Bruno Exemple stands at " in back and "Léa" not in back
    assert "Léa Debout stands at 0 min and can give 2h00." in words(
        lone, "account", "limit", "Léa Debout", "2h"
    )
    opened = words(lone, "account", "open", "Une Boutique", "--group", "--limit", "heure=1h")
    assert "Une Boutique stands at 0 min and can give 1h00." in opened
    allowed = words(
        lone, "account", "allow", "Léa Debout", "Bruno Exemple", "10min", "--until", "30d"
    )
    assert "--mandate" in allowed
    recovered = words(lone, "account", "recover", "Léa Debout")
    assert "--stop-recovery" in recovered


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("transfer", "Ana"), "from whom, to whom and how much"),
        (("transfer", "Ana", "Bruno"), "from whom, to whom and how much"),
        (("transfer", "Ana", "Exemple", "Bruno", "Exemple", "1h"), "stands in quotes"),
        (("account", "show", "Ana", "Exemple"), "stands in quotes"),
        (("member", "revoke", "Ana", "Exemple", "--reason", "left"), "stands in quotes"),
    ],
)
def test_a_name_without_quotes_is_met_with_what_to_type(
    lone: Exchanges, arguments: tuple[str, ...], advice: str
) -> None:
    before = lone.do(0, "account", "list"), lone.do(0, "member", "list")
    told = lone.tell(0, *arguments, as_json=False)
    assert told.code == 2 and advice in told.err and '"Ana Exemple"' in told.err
    assert lone.refused(0, *arguments)["code"] == "usage"
    assert (lone.do(0, "account", "list"), lone.do(0, "member", "list")) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", "control characters"),
        ("Ana \u202eelpmexE", "direction of the text"),
        ("...", "a letter or a digit"),
        ("x" * 81, "at most 80 characters"),
        ("Jean: Paul", "no colon"),
        ("commons", "own account"),
    ],
)
def test_nobody_gets_a_name_that_hides_or_misleads(lone: Exchanges, name: str, reason: str) -> None:
    before = lone.do(0, "account", "list"), lone.do(0, "member", "list")
    error = lone.refused(0, "member", "add", name)
    assert error["code"] == "register" and reason in error["message"]
    error = lone.refused(0, "account", "open", name, "--group")
    assert error["code"] == "account" and reason in error["message"]
    assert (lone.do(0, "account", "list"), lone.do(0, "member", "list")) == before
