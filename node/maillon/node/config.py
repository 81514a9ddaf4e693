"""Read <home>/config.toml into typed settings; an unknown or wrong key names its place.

Every field has a default and a comment in the file that `init` writes, so that the file teaches.
"""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from maillon.node.home import Home
from maillon.node.i18n import _
from maillon.node.naming import why_not
from maillon.node.persons.settings import PersonsSettings, Retention
from maillon.node.zones import USUAL, is_zone, zone_of_territory
from maillon.protocol.errors import LocalError

# As in the coop's profile (spec/03).
COOP_NAME_CHARACTERS_MAX: Final = 120

Port = Annotated[int, Meta(ge=0, le=65_535)]
Short = Annotated[str, Meta(min_length=1, max_length=200)]


class ConfigError(LocalError):
    """The settings cannot be read; the message names the key."""

    code: ClassVar[str] = "config"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the coop receives people; always a public place."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]
    name: str = ""
    address: str = ""
    postcode: str = ""
    city: str = ""
    insee: str = ""


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How people reach the coop without a computer."""

    phone: str = ""
    email: str = ""
    url: str = ""
    hours: str = ""


class Coop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the coop says of itself in its profile, for the whole federation."""

    name: Short
    zone: Annotated[str, Meta(min_length=1, max_length=64)] = USUAL
    about: Annotated[str, Meta(max_length=4_000)] = ""
    languages: Annotated[list[str], Meta(max_length=16)] = []
    territory: Annotated[list[str], Meta(max_length=512)] = []
    place: Place | None = None
    contact: Contact | None = None


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the node listens and whom it calls."""

    listen: Annotated[list[str], Meta(min_length=1, max_length=8)] = msgspec.field(
        default_factory=lambda: ["/ip4/0.0.0.0/tcp/4710"]
    )
    announce: Annotated[list[str], Meta(max_length=8)] = []
    peers: Annotated[list[str], Meta(max_length=64)] = []
    mdns: bool = False
    relay: Literal["off", "use", "serve"] = "off"


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the machine the node may use."""

    verify_threads: Annotated[int, Meta(ge=0, le=16)] = 2
    records_max: Annotated[int, Meta(ge=1_000)] = 5_000_000


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the node tells what it does."""

    level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    format: Annotated[str, Meta(pattern="^(text|json)$")] = "text"


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether and how devices, pages and programs reach the node over TCP."""

    listen: Annotated[
        str, Meta(max_length=64, pattern=r"^(|(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]):\d{1,5})$")
    ] = ""
    public_url: Annotated[
        str,
        Meta(
            max_length=268,
            pattern=r"^(|https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?)$",
        ),
    ] = ""
    behind_proxy: bool = False
    origins: Annotated[
        list[Annotated[str, Meta(max_length=268, pattern=r"^https?://[a-z0-9.-]+(:\d{1,5})?$")]],
        Meta(max_length=16),
    ] = []
    requests_per_minute: Annotated[int, Meta(ge=30, le=1_000_000)] = 600
    session_days: Annotated[int, Meta(ge=1, le=90)] = 30
    idle_minutes: Annotated[int, Meta(ge=1, le=43_200)] = 720
    token_days: Annotated[int, Meta(ge=1, le=400)] = 400


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a node."""

    coop: Coop
    network: Network = msgspec.field(default_factory=Network)
    api: Api = msgspec.field(default_factory=Api)
    work: Work = msgspec.field(default_factory=Work)
    log: Log = msgspec.field(default_factory=Log)
    persons: PersonsSettings = msgspec.field(default_factory=PersonsSettings)
    retention: Retention = msgspec.field(default_factory=Retention)


def parse_config(text: bytes) -> Config:
    """Read settings from the bytes of a TOML file.

    Raises: ConfigError naming the line of a syntax error, or the path of a wrong or unknown key.
    """
    try:
        return msgspec.toml.decode(text, type=Config)
    except msgspec.ValidationError as fault:
        raise ConfigError(
            _("The settings are wrong: {fault}.").format(fault=fault),
            hint=_("Correct config.toml; docs/operator.md lists every setting."),
        ) from None
    except UnicodeDecodeError as fault:
        raise ConfigError(
            _("config.toml is not in UTF-8: line {n} cannot be read.").format(
                n=text.count(b"\n", 0, fault.start) + 1
            ),
            hint=_("Save it as UTF-8, or write that line again."),
        ) from None
    except msgspec.DecodeError as fault:
        raise ConfigError(
            _("config.toml is not valid TOML: {fault}.").format(fault=fault),
            hint=_("Correct the line that is named."),
        ) from None


def load_config(home: Home) -> Config:
    """Read <home>/config.toml.

    Raises: ConfigError also for what is well-formed and cannot work: an address nobody can listen
    on, a name or code that the coop's profile cannot carry. NotInitialised when there is no file.
    """
    home.require()
    config = parse_config(home.config.read_bytes())
    fault = find_fault(config)
    if fault is not None:
        place, value, why = fault
        raise ConfigError(
            _("The setting {place} is wrong: {value}. {why}").format(
                place=place, value=value, why=why
            ),
            hint=_("Correct config.toml; docs/operator.md lists every setting."),
        )
    return config


def find_fault(config: Config) -> tuple[str, str, str] | None:
    """Return the first setting that cannot work, as (its place, its value, why); None when fine.

    What the coop says of itself is held to the types of its profile (spec/02), so that a fault is
    told when it is written and not when the profile is signed.
    """
    # Imported here: completion and help read no settings.
    from maillon.node.net.errors import BadAddress
    from maillon.node.net.identity import parse_address
    from maillon.protocol.records.fields import AREA_CODE, EMAIL, LANG, PHONE
    from maillon.protocol.records.schema import Broken, Text, compile_type

    name = _("A name has 1 to 120 characters and no control characters.")
    area = _("A territory is a code of capitals and digits, such as 01 or 26113.")
    language = _("A language is a short tag such as fr or en.")
    phone = _("A phone number has digits and spaces, such as 04 00 00 00 00 or +33 4 00 00 00 00.")
    email = _("An e-mail address has an @, such as accueil@example.org.")
    coop = config.coop
    reach = coop.contact or Contact()
    for place, kind, values, why in (
        ("coop.name", Text(COOP_NAME_CHARACTERS_MAX), [coop.name], name),
        ("coop.territory", AREA_CODE, coop.territory, area),
        ("coop.languages", LANG, coop.languages, language),
        ("coop.contact.phone", PHONE, [reach.phone] if reach.phone else [], phone),
        ("coop.contact.email", EMAIL, [reach.email] if reach.email else [], email),
    ):
        check = compile_type(kind)
        for value in values:
            try:
                check(value)
            except Broken:
                return place, value, why
        if len(set(values)) != len(values):
            return place, ", ".join(values), _("Each may stand there once.")
    if reason := why_not(coop.name, of_account=False, longest=COOP_NAME_CHARACTERS_MAX):
        return "coop.name", coop.name, reason
    if not is_zone(coop.zone):
        return "coop.zone", coop.zone, _("A zone is a name such as Europe/Paris or Indian/Reunion.")
    network = config.network
    for place, values in (
        ("network.listen", network.listen),
        ("network.announce", network.announce),
        ("network.peers", network.peers),
    ):
        for value in values:
            try:
                parse_address(value)
            except BadAddress as fault:
                return place, value, str(fault)
    return None


def _toml(value: object) -> str:
    # JSON strings, and arrays of them, are TOML too.
    return json.dumps(value, ensure_ascii=False)


def render_config(
    *,
    name: str,
    languages: list[str],
    territory: list[str],
    listen: list[str],
    announce: list[str],
    zone: str = "",
    contact: Contact | None = None,
) -> bytes:
    """Return the text of a new config.toml, with a comment on every setting."""
    said = contact or Contact()
    reach = {
        "phone": (said.phone, "+33 4 00 00 00 00"),
        "email": (said.email, "accueil@example.org"),
        "url": (said.url, "https://example.org"),
        "hours": (said.hours, "Monday to Friday, 9 to 12"),
    }
    contacts = "\n".join(
        [("" if contact else "#") + "[coop.contact]"]
        + [
            f"{name} = {_toml(value)}" if value else f"#{name} = {_toml(example)}"
            for name, (value, example) in reach.items()
        ]
    )
    text = f"""\
# Settings of a Maillon node. Restart the node after a change: maillon run
# Lines that begin with "#" are examples or defaults.

[coop]
# What the whole federation sees of your cooperative.
name = {_toml(name)}
#about = "What you do, in a few sentences."
languages = {_toml(languages)}
# INSEE codes of the communes, or numbers of the departements, that you serve.
territory = {_toml(territory)}
# The clock that people of your coop go by: times are read and shown in it.
zone = {_toml(zone or zone_of_territory(territory))}

# Never the digital way only: say whom people can call (phone) or where they find you (place, with
# an address). One of the two is needed: it stands in every agreement as the way besides this
# network, and in each quote that names no other (--contact-phone, --contact-place).
{contacts}
#[coop.place]
#lat = 46.20
#lon = 5.22
#address = "1 place de la Mairie"
#postcode = "01000"
#city = "Bourg-en-Bresse"

[network]
# Where this node listens. Open this port in your firewall.
listen = {_toml(listen)}
# How the other nodes reach it from outside, when that differs from `listen`
# (behind a router, or by a name): ["/dns4/node.example.org/tcp/4710"]
announce = {_toml(announce)}
# Nodes to call besides those the federation's records name.
#peers = ["/ip4/192.0.2.1/tcp/4710/p2p/12D3Koo..."]
# Find nodes of the federation on the local network, and be found there.
#mdns = false
# "use": when this node cannot be reached from outside, keep a place at one that relays.
# "serve": give such places to other nodes of the federation.
#relay = "off"

[api]
# Where devices, pages and programs reach this node; empty for not at all (the command line needs
# none of it). Keep it on this machine and put a web server with a certificate in front:
# docs/operator.md, "The interface for devices and pages".
#listen = "127.0.0.1:4780"
# The address that people open, and that passkeys and sign-ins are bound to.
#public_url = "https://node.example.org"
# The web server in front appends the client's address to X-Forwarded-For.
#behind_proxy = false
# Other sites whose pages may read with a token.
#origins = []
# Of one person or address.
#requests_per_minute = 600
#session_days = 30
#idle_minutes = 720
#token_days = 400

[work]
# Threads that verify signatures besides the main one; 0 verifies in the main one.
#verify_threads = 2
# Beyond this many records the node takes no more from others.
#records_max = 5000000

[persons]
# How long a new key that your coop vouches for can be contested, in days.
#contest_days = 14
# What providers of a status are not given, beside what no volunteer is given anywhere (a credit,
# money): [persons.forbidden]
#          volunteer = ["hours"]

[retention]
# Days for which what has served is kept; 0 keeps it for ever.
#exchanges = 1095      # exchanges that are closed
#letters = 7           # letters, after they were fetched; at most until they expire
#sent_letters = 8      # letters, after they arrived at another node
#memos = 3650          # what transfers were for
#vouchers = 1095       # paper cheques, after they have expired
#deposits = 365        # cheques of other coops that were deposited here
#claims = 30           # codes to claim an account
#recoveries = 1095     # lost keys that were replaced
#moves = 365           # people who moved to another coop
#invitations = 90
#notices = 120         # what people were told that may fit
#relays = 1095         # demands that were handed to a relay
#auctions = 90         # what opens sealed bids and was not opened in time

[log]
#level = "info"        # debug, info, warning, error
#format = "text"       # text, json
"""
    data = text.encode()
    parse_config(data)  # what we write, we can read
    return data
