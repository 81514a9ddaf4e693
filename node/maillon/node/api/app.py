"""The routes of the local interface (docs/cli.md, "The local interface")."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import Litestar, MediaType, Request, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from litestar.response import Stream

from maillon.node import bounds
from maillon.node.api import openapi, own, problems, shapes
from maillon.node.api.access_app import ACCESS_ROUTES
from maillon.node.api.caller import OPERATOR, PUBLIC, Who, guard, needs, provide_caller
from maillon.node.api.exchange_app import EXCHANGE_ROUTES
from maillon.node.api.ledger_app import LEDGER_ROUTES
from maillon.node.api.matching_app import MATCHING_ROUTES
from maillon.node.api.paging import page
from maillon.node.api.persons_app import PERSONS_ROUTES
from maillon.node.api.reading import StrictRequest
from maillon.node.api.service import ListOptions, SearchOptions, Service
from maillon.node.cursors import CURSOR_CHARACTERS_MAX
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError, MaillonError

log = logging.getLogger("maillon.api")

# The dependency is ours: nothing about it needs to be validated at each request.
Node = NamedDependency[SkipValidation[Service]]
Texts = Annotated[list[str] | None, QueryParameter(max_items=64)]
Rows = Annotated[int | None, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)]
After = Annotated[str, QueryParameter(max_length=CURSOR_CHARACTERS_MAX)]
Verified = Literal["", "approved", "self_declared", "none"]
Order = Literal["best", "newest", "nearest"]
NDJSON = "application/x-ndjson"
OPEN_KINDS = ("offer", "demand", "category", "bundle", "coop_profile")
"""Kinds of records that are read without an account."""


class BadRequest(LocalError):
    """A request that no handler can make sense of."""

    code = "request"


@get("/v1/status", opt=needs("desk"), sync_to_thread=False)
def status(service: Node) -> shapes.Status:
    """Tell how the node is."""
    return service.status()


@get("/v1/peers", opt=needs("admin"), sync_to_thread=False)
def peers(service: Node) -> shapes.Peers:
    """List the other nodes."""
    return service.peers()


@get("/v1/metrics", opt=needs("admin"), media_type=MediaType.TEXT, sync_to_thread=False)
def metrics(service: Node) -> str:
    """Give counters and gauges in the Prometheus text format."""
    return service.metrics()


@get("/v1/arrivals", opt=needs("admin"), sync_to_thread=False)
def arrivals(
    service: Node,
    since: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 10_000,
) -> shapes.Arrivals:
    """Tell when records were first seen here."""
    return service.arrivals(since, limit)


@post("/v1/backup", opt=needs(OPERATOR), status_code=200)
async def backup(service: Node, data: JSONBody[shapes.BackupRequest]) -> shapes.Backup:
    """Write a consistent copy of the node into a directory."""
    return await service.backup(data)


@get("/v1/search", opt=needs(PUBLIC), sync_to_thread=False)
def search(
    service: Node,
    q: Annotated[str, QueryParameter(max_length=1_000)] = "",
    kind: Texts = None,
    category: Texts = None,
    mode: Texts = None,
    coop: Texts = None,
    all_categories: FromQuery[bool] = False,
    audience: Texts = None,
    language: Texts = None,
    language_only: FromQuery[bool] = False,
    access: Texts = None,
    provider_status: Texts = None,
    verified: FromQuery[Verified] = "",
    urgency: Texts = None,
    start: Annotated[int | None, QueryParameter(ge=0, le=1 << 40)] = None,
    end: Annotated[int | None, QueryParameter(ge=0, le=1 << 40)] = None,
    order: FromQuery[Order] = "best",
    lat: Annotated[float | None, QueryParameter(ge=-90, le=90)] = None,
    lon: Annotated[float | None, QueryParameter(ge=-180, le=180)] = None,
    km: Annotated[float | None, QueryParameter(gt=0, le=1_000)] = None,
    remote: FromQuery[bool] = True,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 20,
    offset: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    cursor: Annotated[str, QueryParameter(max_length=200)] = "",
) -> shapes.Hits:
    """Search offers and demands. Queries are neither logged nor kept.

    `start` and `end` are Unix seconds, together: what is to be had at some time between them.
    """
    return service.search(
        SearchOptions(
            words=q,
            kinds=kind or (),
            categories=category or (),
            modes=mode or (),
            coops=coop or (),
            all_categories=all_categories,
            audience=audience or (),
            languages=language or (),
            languages_only=language_only,
            access=access or (),
            provider_statuses=provider_status or (),
            verified=verified,
            urgency=urgency or (),
            start=start,
            end=end,
            order=order,
            remote_too=remote,
            point=_point(lat, lon),
            radius_km=km,
            limit=limit,
            offset=offset,
            cursor=cursor,
        )
    )


def _point(lat: float | None, lon: float | None) -> tuple[float, float] | None:
    if (lat is None) != (lon is None):
        raise BadRequest(_("lat and lon come together."))
    return None if lat is None or lon is None else (lat, lon)


@get("/v1/records", opt=needs(PUBLIC), sync_to_thread=False)
def list_records(
    service: Node,
    caller: Who,
    kind: Texts = None,
    mine: FromQuery[bool] = False,
    raw: FromQuery[bool] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)] = 100,
    after: After = "",
) -> shapes.Records:
    """List live records, the newest first; `next` continues a list as `after`."""
    kinds = kind or ()
    if not caller.may("read"):
        # Without an account: what one looks for, and not who is who.
        kinds = [name for name in kinds or OPEN_KINDS if name in OPEN_KINDS]
        if not kinds:
            caller.require("read")
    return service.records(ListOptions(kinds=kinds, mine=mine, raw=raw, limit=limit, after=after))


@get("/v1/records/{id:str}", opt=needs(PUBLIC), sync_to_thread=False)
def show_record(
    service: Node, caller: Who, id: FromPath[str], raw: FromQuery[bool] = False
) -> shapes.RecordOut:
    """Show one record by its id or the beginning of it."""
    found = service.record(id, raw)
    if found.kind not in OPEN_KINDS:
        caller.require("read")
    return found


@get("/v1/export", opt=needs("admin"), sync_to_thread=False)
def export(
    service: Node,
    kind: Texts = None,
    mine: FromQuery[bool] = False,
    raw: FromQuery[bool] = False,
) -> Stream:
    """Give all live records, one JSON object a line."""
    options = ListOptions(kinds=kind or (), mine=mine, raw=raw)
    return Stream(_lines(service.export(options)), media_type=NDJSON)


@post("/v1/records", opt=needs("publish"), status_code=201)
async def publish(
    service: Node, caller: Who, data: JSONBody[shapes.PublishRequest]
) -> shapes.Published:
    """Sign and publish a record, or a revision of one; people with a key that the node holds."""
    return await service.publish(own.publishing(service, caller, data))


@post("/v1/records/{id:str}/withdraw", opt=needs("publish"), status_code=200)
async def withdraw(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[shapes.WithdrawRequest]
) -> shapes.Published:
    """Withdraw a record of this coop; people their own."""
    own.require_record(service, caller, id)
    return await service.withdraw(id, data)


@post(
    "/v1/import", opt=needs("admin"), status_code=200, request_max_body_size=bounds.IMPORT_BYTES_MAX
)
async def import_file(
    request: Request[Any, Any, Any],
    service: Node,
    format: Annotated[str, QueryParameter(max_length=64)],
    where: Texts = None,
    source: Annotated[str, QueryParameter(max_length=80)] = "",
    date: Annotated[str, QueryParameter(max_length=10)] = "",
    licence: Annotated[str, QueryParameter(max_length=120)] = "",
    url: Annotated[str, QueryParameter(max_length=512)] = "",
    days: Annotated[int, QueryParameter(ge=1, le=400)] = 365,
    as_member: FromQuery[str | None] = None,
    sync: FromQuery[bool] = False,
    dry_run: FromQuery[bool] = False,
) -> Stream:
    """Publish the rows of a file. The answer is one JSON object a line while it goes on.

    `{"event": "progress", "done", "total"}`, `{"event": "fault", "line", "field", "message",
    "fatal"}` and at last `{"event": "done", "rows", "created", "changed", "unchanged", "withdrawn",
    "refused", "dry_run"}` or `{"event": "failed", "code", "message", "hint"}`.
    """
    options = shapes.ImportOptions(
        format=format,
        where=where or [],
        source=source,
        date=date,
        licence=licence,
        url=url,
        days=days,
        as_member=as_member,
        sync=sync,
        dry_run=dry_run,
    )
    body = await request.body()
    return Stream(_lines(service.import_file(body, options)), media_type=NDJSON)


@get("/v1/members", opt=needs("desk"), sync_to_thread=False)
def list_members(
    service: Node, caller: Who, limit: Rows = None, after: After = ""
) -> shapes.Members:
    """List the people of this coop and their keys, by name."""
    members = service.members().members
    if limit is None and not after and caller.kind == "operator":
        return shapes.Members(members, None)
    rows, following = page(
        "members",
        members,
        lambda row: (row.name.lower(), row.person, row.at, row.key),
        limit=limit,
        after=after,
    )
    return shapes.Members(rows, following)


@post("/v1/members", opt=needs("desk"), status_code=201)
async def add_member(service: Node, data: JSONBody[shapes.MemberRequest]) -> shapes.Member:
    """Register a person, or another key of theirs."""
    return await service.add_member(data)


@post("/v1/members/{person:str}/revoke", opt=needs("desk"), status_code=200)
async def revoke_member(
    service: Node, person: FromPath[str], data: JSONBody[shapes.RevokeRequest]
) -> shapes.Revoked:
    """End a membership."""
    return await service.revoke_member(person, data)


@get("/v1/mandates", opt=needs("desk"), sync_to_thread=False)
def list_mandates(
    service: Node, caller: Who, limit: Rows = None, after: After = ""
) -> shapes.Mandates:
    """List the mandates given in this coop."""
    mandates = service.mandates().mandates
    if limit is None and not after and caller.kind == "operator":
        return shapes.Mandates(mandates, None)
    rows, following = page(
        "mandates", mandates, lambda row: (row.start, row.mandate), limit=limit, after=after
    )
    return shapes.Mandates(rows, following)


@post("/v1/mandates", opt=needs("desk"), status_code=201)
async def give_mandate(service: Node, data: JSONBody[shapes.MandateRequest]) -> shapes.Mandate:
    """Let somebody act for a member or for the coop."""
    return await service.give_mandate(data)


@post("/v1/mandates/{id:str}/revoke", opt=needs("desk"), status_code=200)
async def revoke_mandate(service: Node, id: FromPath[str]) -> shapes.Mandate:
    """End a mandate at once."""
    return await service.revoke_mandate(id)


@get("/v1/federation", opt=needs("read"), sync_to_thread=False)
def show_federation(service: Node) -> shapes.Federation:
    """Show the federation and its coops."""
    return service.federation()


@post("/v1/federation/invitations", opt=needs("admin"), status_code=201, sync_to_thread=False)
def invite(service: Node, data: JSONBody[shapes.InvitationRequest]) -> shapes.InvitationOut:
    """Make a code with which one coop can join."""
    return service.invite(data)


@post("/v1/federation/admissions", opt=needs("admin"), status_code=201)
async def admit(service: Node, data: JSONBody[shapes.AdmissionRequest]) -> shapes.AdmissionOut:
    """Give this coop's word that another belongs to the federation."""
    return await service.admit(data)


@get("/v1/openapi.json", opt=needs(PUBLIC), include_in_schema=False, sync_to_thread=False)
def describe(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Give the OpenAPI document of this interface."""
    state = request.app.state
    if "document" not in state:
        state.document = openapi.describe(request.app, state.version)
    document: dict[str, Any] = state.document
    return document


async def _lines(items: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """Yield objects as lines of JSON; an error in mid-stream becomes the last line."""
    try:
        async for item in items:
            yield msgspec.json.encode(item) + b"\n"
    except MaillonError as fault:
        hint = fault.hint if isinstance(fault, LocalError) else None
        yield _failed(fault.code, str(fault), hint)
    except Exception as fault:
        known = problems.explain(fault)
        if known is None:
            log.error("a stream broke", exc_info=fault)
            known = ("internal", _("Something broke in the node; its log says more."), None)
        yield _failed(*known)


def _failed(code: str, message: str, hint: str | None) -> bytes:
    event = {"event": "failed", "code": code, "message": message, "hint": hint}
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


# Parameters of handlers that are not of the query.
_NOT_QUERY = frozenset({"service", "data", "request", "caller"})


async def refuse_unknown_parameters(request: Request[Any, Any, Any]) -> None:
    """Refuse what no handler reads: a misspelt condition would widen an answer in silence.

    Raises: BadRequest.
    """
    # Not a plain function, for which every request would go through a thread.
    if not request.query_params:
        return
    handler = request.route_handler
    renamed: dict[str, str] = handler.opt.get("query_names", {})
    known = {
        renamed.get(name, name)
        for name in handler.parsed_fn_signature.parameters
        if name not in _NOT_QUERY and not any(f"{{{name}:" in path for path in handler.paths)
    }
    unknown = sorted(set(request.query_params) - known)
    for name, parameter in handler.parsed_fn_signature.parameters.items():
        asked = request.query_params.getall(renamed.get(name, name), [])
        kinds = (parameter, *parameter.inner_types)
        if not asked or any(kind.is_non_string_collection for kind in kinds):
            continue
        # Of two the framework would take one, and read "null" as nothing.
        if len(asked) > 1:
            raise BadRequest(_("The parameter {name} stands there twice.").format(name=name))
        text = any(kind.annotation is str for kind in kinds)
        if asked[0].lower() == "null" and parameter.is_optional and not text:
            raise BadRequest(_("The parameter {name} is no number.").format(name=name))
    if unknown:
        raise BadRequest(
            _("There is no parameter {names} here.").format(names=", ".join(unknown)[:80]),
            hint=_("There are: {names}.").format(names=", ".join(sorted(known)) or "–"),
        )


def make_app(service: Service, *, version: str) -> Litestar:
    """Return the application that serves a node."""

    async def provide_service() -> Service:
        return service

    return Litestar(
        route_handlers=[
            status,
            peers,
            metrics,
            arrivals,
            backup,
            search,
            list_records,
            show_record,
            export,
            publish,
            withdraw,
            import_file,
            list_members,
            add_member,
            revoke_member,
            list_mandates,
            give_mandate,
            revoke_mandate,
            show_federation,
            invite,
            admit,
            *LEDGER_ROUTES,
            *EXCHANGE_ROUTES,
            *ACCESS_ROUTES,
            *PERSONS_ROUTES,
            *MATCHING_ROUTES,
            describe,
        ],
        request_class=StrictRequest,
        state=State({"version": version}),
        before_request=refuse_unknown_parameters,
        dependencies={"service": Provide(provide_service), "caller": provide_caller},
        guards=[guard],
        exception_handlers=problems.HANDLERS,
        openapi_config=OpenAPIConfig(
            title="Maillon node, local interface",
            version=version,
            # A folder of its own: below it, Litestar answers what is not found with a page.
            path="/v1/openapi",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        ),
        request_max_body_size=bounds.API_BODY_BYTES_MAX,
        # Its own logging is asyncio's; errors are told by `problems`.
        logging_config=None,
    )
