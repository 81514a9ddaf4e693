"""Search for a request of the local interface; nothing of a query is kept or logged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, cast

from maillon.node import clock
from maillon.node.api import shapes
from maillon.node.api.plain import payload_to_json
from maillon.node.api.service import SearchOptions
from maillon.node.i18n import _
from maillon.node.naming import find_coop
from maillon.node.search.query import Answer, Order, Query, SearchError
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import SHIPPED, Vocabulary, load_synonyms

if TYPE_CHECKING:
    from maillon.node.run.node import Node

KINDS = ("offer", "demand")
Verified = Literal["", "approved", "self_declared", "none"]


class Searching:
    """The reader of the index, and the vocabulary it reads queries with."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stale = False
        self._read = 0
        self._categories: frozenset[bytes] = frozenset()
        languages = node.config.coop.languages
        self._reader = SearchReader(
            node.home.database,
            self._vocabulary(),
            language=languages[0] if languages else "fr",
        )

    def close(self) -> None:
        self._reader.close()

    def vocabulary(self) -> tuple[Vocabulary, int]:
        """Return what words and categories mean now, and a number that changes when they do."""
        if self._stale:
            self._stale = False
            records = self._node.store.by_kinds(("category",))
            # Most withdrawals are of something else: then nothing is read anew.
            if frozenset(valid.signed.id for valid in records) != self._categories:
                self._reader.vocabulary = self._vocabulary()
                self._read += 1
        return self._reader.vocabulary, self._read

    def _vocabulary(self) -> Vocabulary:
        """Read synonyms and categories: the shipped list, the operator's own, the federation's."""
        groups = load_synonyms(SHIPPED)
        own = self._node.home.path / "synonyms.txt"
        if own.is_file():
            groups += load_synonyms(own)
        vocabulary = Vocabulary(groups)
        known = list(self._node.store.by_kinds(("category",)))
        for valid in known:
            if valid.signed.payload is not None:
                vocabulary.add_category(valid.signed.payload)
        self._categories = frozenset(valid.signed.id for valid in known)
        return vocabulary

    def noticed(self, ids: Iterable[bytes]) -> None:
        """Note records that came or went: a category among them changes how queries are read."""
        if self._stale:
            return
        for id in ids:
            header = self._node.store.header(id)
            if header is not None and header.kind in ("category", "withdrawal"):
                self._stale = True
                return

    def query(self, options: SearchOptions) -> Query:
        """Read what is looked for. Raises: SearchError, NoSuchCoop, AmbiguousCoop."""
        return query_of(options, [self._coop(text) for text in options.coops])

    def search(self, options: SearchOptions) -> shapes.Hits:
        """Return what fits, best first.

        Raises: SearchError, StoreError; NoSuchCoop, AmbiguousCoop.
        """
        node = self._node
        self.vocabulary()
        if node.store.unindexed:
            node.store.index_now()
        query = self.query(options)
        return hits_of(self._reader.search(query, clock.now()), node.catalogue.coop_name)

    def _coop(self, text: str) -> bytes:
        """Return the coop whose id begins so, or whose name this is."""
        name = self._node.catalogue.coop_name
        coops = [(info.coop, name(info.coop)) for info in self._node.engine.view.coops()]
        return find_coop(text, coops, _("See them with: maillon federation show"))


def query_of(options: SearchOptions, coops: Sequence[bytes]) -> Query:
    """Read what is looked for, the coops by their ids. Raises: SearchError."""
    if (options.start is None) != (options.end is None):
        raise SearchError(_("The time to look for needs a start and an end."))
    if options.radius_km is not None and options.point is None:
        raise SearchError(_("A distance needs a point to be counted from."))
    return Query(
        text=options.words,
        kinds=tuple(options.kinds) or KINDS,
        categories=tuple(options.categories),
        categories_all=options.all_categories,
        modes=tuple(options.modes),
        coops=tuple(coops),
        audience=tuple(options.audience),
        languages=tuple(options.languages),
        languages_only=options.languages_only,
        access=tuple(options.access),
        provider_statuses=tuple(options.provider_statuses),
        verified=cast("Verified", options.verified),
        urgency=tuple(options.urgency),
        near=options.point,
        radius_km=options.radius_km,
        remote_too=options.remote_too,
        when=None
        if options.start is None or options.end is None
        else (options.start, options.end),
        order=cast("Order", options.order),
        limit=options.limit,
        offset=options.offset,
        cursor=options.cursor,
    )


def hits_of(answer: Answer, coop_name: Callable[[bytes], str]) -> shapes.Hits:
    """Show what was found."""
    return shapes.Hits(
        hits=[
            shapes.Hit(
                id=hit.id.hex(),
                kind=hit.kind,
                coop=hit.coop.hex(),
                coop_name=coop_name(hit.coop),
                at=hit.at,
                until=hit.until,
                score=hit.score,
                distance_m=None if hit.distance_km is None else round(hit.distance_km * 1000),
                approximate=hit.approximate,
                reasons=list(hit.reasons),
                payload=payload_to_json(hit.payload) or {},
            )
            for hit in answer.hits
        ],
        count=answer.count,
        count_more=answer.count_more,
        cursor=answer.cursor,
        corrected=dict(answer.corrected),
        loosened=answer.loosened,
    )
