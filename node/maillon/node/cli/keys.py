"""`maillon key`: make, write down, print and restore the keys of a coop."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from maillon.node.cli import base
from maillon.node.i18n import _


@click.group(
    cls=base.Group,
    help=_(
        """Look after the keys of your coop.

        Twelve recovery words stand for the coop's root key. Whoever has them speaks for the coop;
        without them and without the key file, its place in the federation is lost. Write them on
        paper and keep them in two places.
        """
    ),
)
def key() -> None:
    pass


@key.command(
    "new",
    help=_(
        """Make the keys of a node whose directory has none.

        `maillon init` does this too; this command is for a directory prepared by hand.
        """
    ),
)
@base.password_option
@click.option("--words", is_flag=True, help=_("Show the recovery words at once."))
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Language of words."))
def new(words: bool, lang: str) -> None:
    from maillon.node import keyring

    home = base.state().home
    home.require()
    entropy = os.urandom(keyring.ENTROPY_BYTES)
    keys = keyring.create_keys(home, base.get_password(confirm=True), entropy, os.urandom)
    result: dict[str, object] = {"root": keys.root.public.hex()}
    if words:
        result |= _words(entropy, lang)
    base.emit(result, lambda: _tell_new(result))


def _tell_new(result: dict[str, object]) -> None:
    base.advise(_("The keys are made. Write down the recovery words now: maillon key words"))
    if "words" in result:
        show_words(str(result["words"]).split())


def _words(entropy: bytes, lang: str) -> dict[str, str]:
    from maillon.protocol.words import to_words

    return {"words": " ".join(to_words(entropy, "fr" if lang == "fr" else "en")), "lang": lang}


def show_words(words: list[str]) -> None:
    """Print recovery words, numbered, in three columns."""
    click.echo()
    for row in range(0, len(words), 3):
        cells = [f"{row + i + 1:>2}. {word:<12}" for i, word in enumerate(words[row : row + 3])]
        click.echo("    " + "".join(cells).rstrip())
    click.echo()
    click.echo(_("Whoever reads these words can speak for your coop. Keep them on paper, in two"))
    click.echo(_("places, and never in a computer."))


@key.command("words", help=_("Show the twelve recovery words of the root key."))
@base.password_option
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Language of words."))
def words(lang: str) -> None:
    from maillon.node import keyring

    home = base.state().home
    home.require()
    shown = _words(keyring.open_entropy(home, base.get_password()), lang)
    base.emit(shown, lambda: show_words(shown["words"].split()))


@key.command(
    "restore",
    help=_(
        """Bring back root and sealing key from the recovery words.

        Type the words when asked, or give them in a file. Accents, capitals and all but the first
        four letters of a word do not matter. In an empty directory this makes a new node with the
        old coop's keys; it gets a new node key, which replaces the lost one when it first runs.

        \b
          maillon key restore
          maillon key restore --words-file paper.txt --name "Coop du Bugey"
        """
    ),
)
@base.password_option
@click.option("--words-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
@click.option("--name", help=_("Name of the coop, for a directory that has no node yet."))
@click.option("--listen", multiple=True, metavar="ADDRESS", help=_("Where to listen."))
def restore(words_file: str | None, name: str | None, listen: tuple[str, ...]) -> None:
    from maillon.node import keyring
    from maillon.node.cli.node import new_settings, prepare_home
    from maillon.node.home import write_atomic
    from maillon.protocol.keys import coop_id
    from maillon.protocol.words import derive, from_words

    home = base.state().home
    if words_file:
        text = Path(words_file).read_text("utf-8")
    elif not sys.stdin.isatty():
        base.fail(
            "usage",
            _("There is no keyboard to ask for the recovery words."),
            _("Give them with --words-file FILE."),
        )
    else:
        text = click.prompt(_("The recovery words, in order"), hide_input=True, err=True)
    entropy = from_words(text)
    root, sealing = derive(entropy)
    if not home.config.is_file():
        if not name:
            base.fail("usage", _("A new directory needs the coop's name."), _("Add --name NAME."))
        settings = new_settings(
            name, languages=["fr"], territory=[], listen=list(listen), announce=[]
        )
        prepare_home(home, settings)
    password = base.get_password(confirm=True)
    home.keys.mkdir(mode=0o700, exist_ok=True)
    if not keyring.holds_entropy(home, password, entropy):
        write_atomic(home.key("root"), keyring.seal(entropy, password, os.urandom))
    sealed = keyring.seal(sealing.secret_bytes(), password, os.urandom)
    write_atomic(home.key("sealing"), sealed, replace=True)
    fresh = not home.key("node").is_file()
    if fresh:
        write_atomic(home.key("node"), keyring.seal(os.urandom(32), password, os.urandom))
    coop = coop_id(root.public).hex()
    result = {
        "coop": coop,
        "root": root.public.hex(),
        "new_node_key": fresh,
    }
    base.emit(
        result,
        _("The keys of coop {coop} are back.").format(coop=coop[:8]),
    )


@key.command(
    "paper",
    help=_(
        """Print a paper copy of the root key: the words and a QR code of them.

        \b
          maillon key paper                       in the terminal
          maillon key paper --output paper.svg    to print; delete the file afterwards
        """
    ),
)
@base.password_option
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.svg")
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Language of words."))
def paper(output: str | None, lang: str) -> None:
    import io

    import segno

    from maillon.node import keyring
    from maillon.node.home import write_atomic

    home = base.state().home
    home.require()
    shown = _words(keyring.open_entropy(home, base.get_password()), lang)
    # Upper case would halve the size of the code, but accents are outside that mode anyway.
    code = segno.make(shown["words"], error="m")
    if output:
        drawn = io.BytesIO()
        code.save(drawn, kind="svg", scale=4, xmldecl=False, svgns=True, title=_("Recovery words"))
        write_atomic(Path(output), _page(drawn.getvalue().decode(), shown["words"].split()))
        base.emit({"file": output}, _("Print {file}, then delete it.").format(file=output))
    elif base.state().json:
        base.emit(shown)
    else:
        text = io.StringIO()
        code.terminal(text, compact=True)
        click.echo(text.getvalue())
        show_words(shown["words"].split())


def _page(qr: str, words: list[str]) -> bytes:
    """Return an SVG page of A5 with the code and the numbered words."""
    lines = [
        f'<text x="40" y="{400 + 26 * i}" font-family="sans-serif" font-size="18">'
        f"{i + 1:>2}. {word}</text>"
        for i, word in enumerate(words)
    ]
    title = _("Root key of a coop – keep it like cash")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="148mm" height="210mm" '
        'viewBox="0 0 560 794"><rect width="560" height="794" fill="white"/>'
        f'<text x="40" y="50" font-family="sans-serif" font-size="20">{title}</text>'
        f'<svg x="40" y="80" width="280" height="280">{qr}</svg>' + "".join(lines) + "</svg>\n"
    ).encode()
