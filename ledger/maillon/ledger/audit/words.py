"""Say a finding in plain words, in English or French: the base install has no other catalogue.

A sentence names the coop, the block, its day and time, the entry, and what follows from it. Facts
of strangers (names of coops) are printed as they are, without control characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from maillon.ledger.audit.findings import Finding

LANGUAGES: Final = ("en", "fr")

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Amount = Callable[[int, int], str]
"""`amount(unit, minor units)` writes an amount with its unit."""

SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "file_missing": (
        "{of}: the file {file} is missing from the export.{unproven}",
        "{of} : le fichier {file} manque dans l'export.{unproven}",
    ),
    "file_changed": (
        "{of}: the file {file} is not the one that was exported: some of its bytes have changed. "
        "Ask for the copy again.",
        "{of} : le fichier {file} n'est pas celui qui a été exporté : certains de ses octets ont "
        "changé. Redemandez la copie.",
    ),
    "file_damaged": (
        "{of}: the file {file} is damaged or cut short at byte {offset}; what follows could not be "
        "read.{unproven}",
        "{of} : le fichier {file} est abîmé ou coupé à l'octet {offset} ; la suite n'a pas pu être "
        "lue.{unproven}",
    ),
    "file_unlisted": (
        "The export holds files that it does not list; they were not looked at.",
        "L'export contient des fichiers qu'il ne mentionne pas ; ils n'ont pas été examinés.",
    ),
    "chain_stranger": (
        "The export holds the chain of a coop that the charter does not name: {chain}.",
        "L'export contient la chaîne d'une coop que la charte ne nomme pas : {chain}.",
    ),
    "chain_absent": (
        "The chain of {coop} is not in the export, so its accounts were not audited.",
        "La chaîne de {coop} n'est pas dans l'export : ses comptes n'ont pas été vérifiés.",
    ),
    "block_unreadable": (
        "{coop}: block {height} cannot be read ({rule}). Nothing after block {before} is proven.",
        "{coop} : le bloc {height} est illisible ({rule}). Rien n'est prouvé après le bloc "
        "{before}.",
    ),
    "block_missing": (
        "{coop}: block {height} is missing: after block {before} comes block {next}. Nothing after "
        "block {before} is proven.",
        "{coop} : il manque le bloc {height} : après le bloc {before} vient le bloc {next}. Rien "
        "n'est prouvé après le bloc {before}.",
    ),
    "block_order": (
        "{coop}: where block {height} belongs stands another one (number {found}): the order was "
        "changed, or it does not continue the block before it.",
        "{coop} : à la place du bloc {height} s'en trouve un autre (numéro {found}) : l'ordre a "
        "été changé, ou il ne suit pas le bloc précédent.",
    ),
    "block_invalid": (
        "{coop}: block {height} of {when} is wrong: {reason}. Nothing after block {before} is "
        "proven.",
        "{coop} : le bloc {height} du {when} est faux : {reason}. Rien n'est prouvé après le bloc "
        "{before}.",
    ),
    "block_entry": (
        "{coop}: in block {height} of {when}, {what} {entry} breaks a rule: {why}. Nothing after "
        "block {before} is proven.",
        "{coop} : dans le bloc {height} du {when}, {what} {entry} enfreint une règle : {why}. Rien "
        "n'est prouvé après le bloc {before}.",
    ),
    "block_signature": (
        "{coop}: in block {height} of {when}, {signed} carries a signature that is not valid: it "
        "was changed, or never given. Nothing after block {before} is proven.",
        "{coop} : dans le bloc {height} du {when}, {signed} porte une signature non valable : "
        "changée, ou jamais donnée. Rien n'est prouvé après le bloc {before}.",
    ),
    "block_uncertified": (
        "{coop}: block {height} of {when} is not certified by any witness.",
        "{coop} : le bloc {height} du {when} n'est certifié par aucun témoin.",
    ),
    "block_forged": (
        "{coop}: the certificate of block {height} of {when} is not one of its witnesses.",
        "{coop} : le certificat du bloc {height} du {when} n'est pas celui de ses témoins.",
    ),
    "block_few": (
        "{coop}: block {height} of {when} is certified by {got} witnesses where {needed} are "
        "needed.",
        "{coop} : le bloc {height} du {when} est certifié par {got} témoins alors qu'il en faut "
        "{needed}.",
    ),
    "block_retired": (
        "{coop}: block {height} was certified with keys of a retired time, and is not the block "
        "that the federation kept. Retired keys can be stolen: it does not count.",
        "{coop} : le bloc {height} a été certifié avec des clés retirées, et n'est pas le bloc que "
        "la fédération a gardé. Des clés retirées peuvent être volées : il ne compte pas.",
    ),
    "block_void": (
        "{coop}: block {height} lies above the point from which the federation was founded anew: "
        "it does not count.",
        "{coop} : le bloc {height} est au-delà du point d'où la fédération a été refondée : il ne "
        "compte pas.",
    ),
    "pin_missing": (
        "{coop}: the chain ends at block {height}, before block {pinned} which the federation kept "
        "when it retired old keys. What those keys certified is not proven.",
        "{coop} : la chaîne s'arrête au bloc {height}, avant le bloc {pinned} que la fédération a "
        "gardé en retirant d'anciennes clés. Ce que ces clés ont certifié n'est pas prouvé.",
    ),
    "charter_ahead": (
        "{coop}: block {height} rests on charter {needed}; the export's charter ends at {known}.",
        "{coop} : le bloc {height} s'appuie sur la charte {needed} ; celle de l'export s'arrête à "
        "la {known}.",
    ),
    "time_ahead": (
        "{coop}: the last block is dated {when}, after the export itself.",
        "{coop} : le dernier bloc est daté du {when}, après l'export lui-même.",
    ),
    "erased": (
        "{coop}: entries erased, as people may ask: {count}. What they led to was taken from the "
        "state that the witnesses certified.",
        "{coop} : écritures effacées, comme chacun peut le demander : {count}. Leur effet a été "
        "repris de l'état certifié par les témoins.",
    ),
    "history_changed": (
        "{coop}: block {height} is not the one that was audited before. The past was changed since "
        "block {height}.",
        "{coop} : le bloc {height} n'est pas celui qui avait été vérifié. Le passé a été changé "
        "depuis le bloc {height}.",
    ),
    "rewritten": (
        "{coop}: the file was written anew since the last audit (as after an erasure); its blocks "
        "are the same.",
        "{coop} : le fichier a été réécrit depuis le dernier audit (comme après un effacement) ; "
        "ses blocs sont les mêmes.",
    ),
    "older": (
        "{coop}: this export ends at block {top}. It was taken before block {height} of {when}, up "
        "to which the last audit went: it is older, and agrees with that audit as far as it goes.",
        "{coop} : cet export s'arrête au bloc {top}. Il a été pris avant le bloc {height} du "
        "{when}, où était allé le dernier audit : il est plus ancien, et s'accorde avec cet audit "
        "aussi loin qu'il va.",
    ),
    "shorter": (
        "{coop}: this export ends at block {top}; the last audit went up to block {height} of "
        "{when}, made before this export was taken. Its node may not have had it yet, or the end "
        "was left away: ask for a newer export. What it holds agrees with that audit.",
        "{coop} : cet export s'arrête au bloc {top} ; le dernier audit était allé jusqu'au bloc "
        "{height} du {when}, fait avant que cet export soit pris. Son nœud ne l'avait peut-être "
        "pas encore, ou la fin en a été retirée : demandez un export plus récent. Ce qu'il "
        "contient s'accorde avec cet audit.",
    ),
    "charter_invalid": (
        "The charter is wrong at its block {height}: {reason}. Later charters do not count.",
        "La charte est fausse à son bloc {height} : {reason}. Les suivantes ne comptent pas.",
    ),
    "message_unknown": (
        "{coop} took payment number {number} of {source} in block {height}; {source} never sent "
        "it (its chain ends at block {source_height}).",
        "{coop} a encaissé le paiement n° {number} de {source} dans le bloc {height} ; {source} ne "
        "l'a jamais envoyé (sa chaîne s'arrête au bloc {source_height}).",
    ),
    "message_other": (
        "{coop} took payment number {number} of {source} in block {height} from another block "
        "than the one in which {source} sent it (block {sent_in}): there are two versions of the "
        "chain of {source}.",
        "{coop} a encaissé le paiement n° {number} de {source} dans le bloc {height} depuis un "
        "autre bloc que celui où {source} l'a envoyé (bloc {sent_in}) : il existe deux versions de "
        "la chaîne de {source}.",
    ),
    "not_closed": (
        "{coop} took payment number {number} of {source} in block {height}; the copy of the chain "
        "of {source} ends before it. The sums say nothing from there on.",
        "{coop} a encaissé le paiement n° {number} de {source} dans le bloc {height} ; la copie de "
        "la chaîne de {source} s'arrête avant. Les sommes ne disent plus rien ensuite.",
    ),
    "sum_not_zero": (
        "The sum of all accounts and of what is on its way is {amount}, and must be 0.",
        "La somme de tous les comptes et de ce qui est en route est {amount} ; elle doit être 0.",
    ),
    "trade_differs": (
        "{coop}: its accounts add up to {amount}, and its chain says {trade}.",
        "{coop} : la somme de ses comptes est {amount}, et sa chaîne dit {trade}.",
    ),
    "sum_unknown": (
        "The sum is {amount}; it cannot be judged, because {count} rows or payments were erased.",
        "La somme est {amount} ; on ne peut pas en juger, car {count} lignes ou paiements ont été "
        "effacés.",
    ),
    "fork": (
        "{coop}: there are two certified blocks at height {height}. The node {node} holds another "
        "one than this export. Who certified it: {witnesses}. {parted}",
        "{coop} : il existe deux blocs certifiés à la hauteur {height}. Le nœud {node} en détient "
        "un autre que cet export. Qui l'a certifié : {witnesses}. {parted}",
    ),
    "head_unreadable": (
        "A head that the node {node} is said to hold cannot be read ({why}).",
        "Une tête de chaîne attribuée au nœud {node} est illisible ({why}).",
    ),
    "head_forged": (
        "{coop}: the head that the node {node} is said to hold at block {height} is not "
        "certified: it proves nothing.",
        "{coop} : la tête attribuée au nœud {node} au bloc {height} n'est pas certifiée : elle ne "
        "prouve rien.",
    ),
    "head_ahead": (
        "{coop}: the node {node} holds the certified block {height}; the export ends at block "
        "{top}. What came after it was not audited: ask for a newer export, or for that of "
        "{node}.",
        "{coop} : le nœud {node} détient le bloc certifié {height} ; l'export s'arrête au bloc "
        "{top}. La suite n'a pas été vérifiée : demandez un export plus récent, ou celui de "
        "{node}.",
    ),
    "head_hidden": (
        "{coop}: the node that wrote this export ({node}) itself holds the certified block {held}; "
        "the export ends at block {top}. The last blocks were left out of it.",
        "{coop} : le nœud qui a écrit cet export ({node}) détient lui-même le bloc certifié "
        "{held} ; l'export s'arrête au bloc {top}. Les derniers blocs en ont été retirés.",
    ),
    "fraud_writer": (
        "{accused} proposed two different blocks at height {height} of {coop}, in one term: "
        "proven by its own signatures. {cleared}",
        "{accused} a proposé deux blocs différents à la hauteur {height} de {coop}, dans un même "
        "mandat : prouvé par ses propres signatures. {cleared}",
    ),
    "fraud_witness": (
        "The witness of {accused} voted twice at height {height} of {coop}: proven by its own "
        "signatures. {cleared}",
        "Le témoin de {accused} a voté deux fois à la hauteur {height} de {coop} : prouvé par ses "
        "propres signatures. {cleared}",
    ),
    "fraud_unproven": (
        "Something handed in as proof of fraud proves nothing ({why}).",
        "Une pièce remise comme preuve de fraude ne prouve rien ({why}).",
    ),
    "checkpoint_unreadable": (
        "The checkpoint of {coop} cannot be read ({why}).",
        "Le point de contrôle de {coop} est illisible ({why}).",
    ),
    "checkpoint_untrusted": (
        "The checkpoint of {coop} is not signed by its writer and a quorum of witnesses ({why}).",
        "Le point de contrôle de {coop} n'est pas signé par son écrivain et un quorum de témoins "
        "({why}).",
    ),
    "checkpoint_few": (
        "{coop}: its checkpoint at block {height} agrees with the chain; fewer witnesses than the "
        "{needed} needed have signed it, so outside this export it proves nothing yet.",
        "{coop} : son point de contrôle au bloc {height} concorde avec la chaîne ; moins de "
        "témoins que les {needed} nécessaires l'ont signé : hors de cet export il ne prouve "
        "encore rien.",
    ),
    "checkpoint_differs": (
        "{coop}: writer and witnesses signed another history up to block {height} than the one in "
        "this export.",
        "{coop} : l'écrivain et les témoins ont signé jusqu'au bloc {height} une autre histoire "
        "que celle de cet export.",
    ),
}
"""The sentence of every code, in English and French."""

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "count": (
        "it has more or fewer entries than it says",
        "il n'a pas le nombre d'écritures annoncé",
    ),
    "size": (
        "its entries are longer or shorter than it says",
        "ses écritures n'ont pas la taille annoncée",
    ),
    "entries_root": (
        "its entries are not those it commits to",
        "ses écritures ne sont pas celles qu'il annonce",
    ),
    "state_root": (
        "the balances that follow from it are not those it commits to",
        "les soldes qui en résultent ne sont pas ceux qu'il annonce",
    ),
    "history_root": (
        "it commits to another past than the blocks before it",
        "il annonce un autre passé que les blocs qui le précèdent",
    ),
    "charter": (
        "it rests on a charter that did not govern it",
        "il s'appuie sur une charte qui ne le régissait pas",
    ),
    "time": (
        "it is dated before the block that it follows",
        "il est daté d'avant le bloc qu'il suit",
    ),
    "erased": ("an entry was taken out of it", "une écriture en a été retirée"),
    "delta": (
        "what it says of erased entries does not hold",
        "ce qu'il dit des écritures effacées ne tient pas",
    ),
    "evidence_unused": (
        "it carries proofs that nothing rests on",
        "il porte des preuves dont rien ne dépend",
    ),
    "coop": ("the charter does not name its coop", "la charte ne nomme pas sa coop"),
    "certificate": ("its certificate is not valid", "son certificat n'est pas valable"),
    "no_quorum": ("too few witnesses certified it", "trop peu de témoins l'ont certifié"),
    "not_certified": ("nobody certified it", "personne ne l'a certifié"),
    "not_approved": ("too few coops approved it", "trop peu de coops l'ont approuvé"),
    "bad_signature": ("a signature in it is not valid", "une signature n'y est pas valable"),
    "malformed": ("it cannot be read", "il est illisible"),
    "charter_refused": (
        "it changes the charter in a way that is not allowed",
        "il change la charte d'une façon interdite",
    ),
}

ENTRY_REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "over_limit": (
        "the account goes below its credit limit",
        "le compte passe sous sa limite de crédit",
    ),
    "coop_limit": (
        "the coop goes below its collective limit",
        "la coop passe sous sa limite collective",
    ),
    "over_maximum": ("the account goes above its maximum", "le compte dépasse son maximum"),
    "amount": ("the amount is not allowed", "le montant n'est pas permis"),
    "account_unknown": ("the account does not exist", "le compte n'existe pas"),
    "account_closed": ("the account is closed", "le compte est fermé"),
    "account_exists": ("the account exists already", "le compte existe déjà"),
    "account_in_use": ("the account is not empty", "le compte n'est pas vide"),
    "stale_sequence": ("the order was carried out before", "l'ordre a déjà été exécuté"),
    "sequence_gap": (
        "the order's number is too far above the last one",
        "le numéro de l'ordre est trop au-dessus du dernier",
    ),
    "order_expired": ("the order had run out", "l'ordre avait expiré"),
    "not_authorised": (
        "the order is not signed by a key of the account",
        "l'ordre n'est pas signé par une clé du compte",
    ),
    "unit_unknown": ("the unit does not exist", "l'unité n'existe pas"),
    "wrong_unit": ("the account does not have this unit", "le compte n'a pas cette unité"),
    "mandate_unknown": ("the mandate does not exist", "le mandat n'existe pas"),
    "order_mandate_scope": ("the mandate does not cover it", "le mandat ne le couvre pas"),
    "order_mandate_expired": ("the mandate was not in force", "le mandat n'était pas en vigueur"),
    "mandate_exhausted": (
        "the mandate's limit for the period was used up",
        "la limite du mandat pour la période était épuisée",
    ),
    "hold_unknown": (
        "the reservation does not exist, or was used before",
        "la réservation n'existe pas, ou a déjà servi",
    ),
    "hold_open": ("the reservation had not run out", "la réservation n'avait pas expiré"),
    "confirmation": (
        "the confirmation is not by one who may give it",
        "la confirmation ne vient pas de qui peut la donner",
    ),
    "channel_gap": (
        "it is not the next payment between the two coops",
        "ce n'est pas le paiement suivant entre les deux coops",
    ),
    "already_consumed": ("the payment was taken before", "le paiement a déjà été encaissé"),
    "evidence": (
        "what is to prove it proves something else",
        "ce qui doit le prouver prouve autre chose",
    ),
    "no_quorum": (
        "too few witnesses certified what it rests on",
        "trop peu de témoins ont certifié ce dont il dépend",
    ),
    "certificate": (
        "the certificate it rests on is not valid",
        "le certificat dont il dépend n'est pas valable",
    ),
    "malformed": ("it cannot be read", "elle est illisible"),
}

_PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "entry": ("entry", "l'écriture"),
    "evidence": ("proof", "la preuve"),
    "signed_entry": ("entry {entry}", "l'écriture {entry}"),
    "signed_block": ("its certificate, or a proof in it,", "son certificat, ou une preuve,"),
    "here": ("The two chains part at this block.", "Les deux chaînes se séparent à ce bloc."),
    "before": (
        "The two chains part before this block.",
        "Les deux chaînes se séparent avant ce bloc.",
    ),
    "cleared": ("The federation has dealt with it.", "La fédération l'a déjà traité."),
    "open": (
        "The federation has not dealt with it yet.",
        "La fédération ne l'a pas encore traité.",
    ),
    "charter_chain": ("The charter", "La charte"),
    "unknown_time": ("an unknown date", "date inconnue"),
    "unproven": (
        " Nothing from block {height} on is proven.",
        " Rien n'est prouvé à partir du bloc {height}.",
    ),
    "founding.bin": ("The founding document", "L'acte de fondation"),
    "charter.blocks": ("The charter", "La charte"),
    "evidence.bin": ("The proofs of fraud", "Les preuves de fraude"),
    "heads": ("What the node {name} holds", "Ce que détient le nœud {name}"),
    "checkpoints": ("The checkpoint of {name}", "Le point de contrôle de {name}"),
}


def place(language: str) -> int:
    """Return where a language stands in the pairs above; English for others."""
    return LANGUAGES.index(language) if language in LANGUAGES else 0


def clean(text: str) -> str:
    """Return a stranger's text without what could disturb a terminal or a page."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def when(at: int, language: str) -> str:
    """Return a time (Unix seconds) as day and hour in UTC."""
    try:
        day = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return _PHRASES["unknown_time"][place(language)]
    if at < 0:
        return _PHRASES["unknown_time"][place(language)]
    return day.strftime("%d/%m/%Y %H:%M UTC" if language == "fr" else "%Y-%m-%d %H:%M UTC")


def sentence(
    one: Finding,
    language: str,
    coops: Mapping[bytes, str],
    nodes: Mapping[bytes, str],
    amount: Amount,
) -> str:
    """Return a finding as a sentence. `coops` and `nodes` give names by id and by node key."""
    at = place(language)
    known = SENTENCES[one.code][at]
    facts: dict[str, Any] = {name: _shown(name, value, at) for name, value in one.facts.items()}
    unit = one.facts.get("unit")
    for name in ("amount", "trade"):
        if isinstance(unit, int) and isinstance(one.facts.get(name), int):
            facts[name] = amount(unit, one.facts[name])
    facts["coop"] = clean(coops.get(one.chain, one.chain.hex()[:8])) if one.chain else ""
    if one.chain and one.chain not in coops:
        facts["coop"] = _PHRASES["charter_chain"][at] if not coops else one.chain.hex()[:8]
    facts["chain"] = one.chain.hex()[:16]
    if isinstance(one.facts.get("source"), bytes):
        facts["source"] = clean(coops.get(one.facts["source"], one.facts["source"].hex()[:8]))
    if isinstance(one.facts.get("node"), bytes):
        node = one.facts["node"]
        facts["node"] = clean(nodes.get(node, node.hex()[:8]))
    facts["height"] = one.height
    facts["before"] = one.height - 1
    facts["entry"] = one.entry + 1
    facts["when"] = when(one.time, language)
    key = "signed_entry" if one.entry >= 0 else "signed_block"
    facts["signed"] = _PHRASES[key][at].format(entry=one.entry + 1)
    facts["unproven"] = _PHRASES["unproven"][at].format(height=one.height) if one.height > 0 else ""
    if isinstance(one.facts.get("file"), str):
        facts["of"] = _of_file(one.facts["file"], at, coops, nodes)
    if "cleared" in one.facts:
        facts["cleared"] = _PHRASES["cleared" if one.facts["cleared"] else "open"][at]
    return known.format_map(_Blank(facts))


def _of_file(path: str, at: int, coops: Mapping[bytes, str], nodes: Mapping[bytes, str]) -> str:
    """Return what a file of an export is about: a coop, a node, the charter."""
    folder, _, name = path.partition("/")
    if not name:
        return _PHRASES[folder][at]
    key = bytes.fromhex(name.partition(".")[0])
    known = clean((nodes if folder == "heads" else coops).get(key, key.hex()[:8]))
    return known if folder == "chains" else _PHRASES[folder][at].format(name=known)


def _shown(name: str, value: Any, at: int) -> Any:
    if isinstance(value, bytes):
        return value.hex()[:16]
    if isinstance(value, str):
        table = {"reason": REASONS, "why": ENTRY_REASONS, "what": _PHRASES, "parted": _PHRASES}
        found = table.get(name, {}).get(value)
        return found[at] if found is not None else clean(value)
    return value


class _Blank(dict[str, Any]):
    """Facts that a finding lacks are left out of its sentence, never a reason to fail."""

    def __missing__(self, key: str) -> str:
        return "?"
