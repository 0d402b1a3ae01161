"""``ask`` and its three sisters: make a question ready, send it, read the reply. Nothing is tried twice here."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Mapping, TypedDict, TypeVar, Unpack, overload

from router.client.asking import Asking, Count, Messages, prepared
from router.client.reply import Reply, reply_of
from router.client.shape import shape_of
from router.client.streams import Hearing, Spoken, SpokenAsync
from tracer import recorder
from tracer.catalogue import Target
from tracer.providers.headers import Headers, lowered

T = TypeVar("T")


class Wishes(TypedDict, total=False):
    """How a model is asked. What is not given is the model's default, but for ``timeout_s``: the target's, else 60.

    ``timeout_s`` is how long it may say nothing; ``count`` counts the tokens of messages in a model's own way (else
    they are counted as ``router.count`` does), so that what the target's window can't hold is not sent; ``options`` are
    further fields of OpenAI's chat format (``seed``, ``stop``, ``tools``); ``client`` is an httpx2 or httpx client of
    your own, where you need a proxy, other certificates, or connections that asynchronous calls share.
    """

    temperature: float | None
    max_tokens: int | None
    logprobs: bool
    timeout_s: float | None
    count: Count | None
    options: Mapping[str, Any]
    client: Any


@overload
def ask(target: Target | str, messages: Messages, schema: type[T], **wishes: Unpack[Wishes]) -> Reply[T]: ...
@overload
def ask(target: Target | str, messages: Messages, schema: None = None, **wishes: Unpack[Wishes]) -> Reply[str]: ...
@overload
def ask(target: Target | str, messages: Messages, schema: Any, **wishes: Unpack[Wishes]) -> Reply[Any]: ...
def ask(target: Target | str, messages: Messages, schema: Any = None, **wishes: Unpack[Wishes]) -> Reply[Any]:
    """Ask a model and wait for its whole reply; its value is of the type ``schema``, or the text.

    ``target`` is a Target or its name in the catalogue: an endpoint or a Python function. ``schema`` is any type that
    pydantic validates. For ``wishes`` see ``Wishes``. A step of kind llm, like the call of any SDK. Raises CallFailed
    (ProviderError, CallTimedOut, NoConnection), InvalidAnswer, NotAskable and PromptTooLong.
    """
    from router.client.sending import client_for, send  # noqa: PLC0415 - it loads httpx2

    asking = _asking(target, messages, schema, wishes, stream=False)
    response = send(asking, client_for(asking, wishes.get("client")), stream=False)
    return reply_of(asking, response.status_code, _headers(response), response.content)


@overload
async def ask_async(
    target: Target | str, messages: Messages, schema: type[T], **wishes: Unpack[Wishes]
) -> Reply[T]: ...
@overload
async def ask_async(
    target: Target | str, messages: Messages, schema: None = None, **wishes: Unpack[Wishes]
) -> Reply[str]: ...
@overload
async def ask_async(target: Target | str, messages: Messages, schema: Any, **wishes: Unpack[Wishes]) -> Reply[Any]: ...
async def ask_async(
    target: Target | str, messages: Messages, schema: Any = None, **wishes: Unpack[Wishes]
) -> Reply[Any]:
    """``ask`` for coroutines."""
    from router.client.sending import client_for_async, send_async  # noqa: PLC0415 - likewise

    asking = _asking(target, messages, schema, wishes, stream=False)
    client, leave = client_for_async(asking, wishes.get("client"))
    try:
        response = await send_async(asking, client, stream=False)
        return reply_of(asking, response.status_code, _headers(response), response.content)
    finally:
        await leave()


@overload
def ask_stream(target: Target | str, messages: Messages, schema: type[T], **wishes: Unpack[Wishes]) -> Spoken[T]: ...
@overload
def ask_stream(
    target: Target | str, messages: Messages, schema: None = None, **wishes: Unpack[Wishes]
) -> Spoken[str]: ...
@overload
def ask_stream(target: Target | str, messages: Messages, schema: Any, **wishes: Unpack[Wishes]) -> Spoken[Any]: ...
def ask_stream(target: Target | str, messages: Messages, schema: Any = None, **wishes: Unpack[Wishes]) -> Spoken[Any]:
    """Ask a model and read its reply as it is said: ``for piece in spoken``, then ``spoken.reply``.

    What goes wrong before the first word is raised here, as by ``ask``; later StreamBroke by the loop.
    """
    from router.client.sending import client_for, naming, send  # noqa: PLC0415 - likewise

    asking = _asking(target, messages, schema, wishes, stream=True)
    response = send(asking, client_for(asking, wishes.get("client")), stream=True)
    if response.status_code >= 400:
        with closing(response), naming(asking):
            reply_of(asking, response.status_code, _headers(response), response.read())
    return Spoken(Hearing(asking, response.status_code, _headers(response)), response, naming)


@overload
async def ask_stream_async(
    target: Target | str, messages: Messages, schema: type[T], **wishes: Unpack[Wishes]
) -> SpokenAsync[T]: ...
@overload
async def ask_stream_async(
    target: Target | str, messages: Messages, schema: None = None, **wishes: Unpack[Wishes]
) -> SpokenAsync[str]: ...
@overload
async def ask_stream_async(
    target: Target | str, messages: Messages, schema: Any, **wishes: Unpack[Wishes]
) -> SpokenAsync[Any]: ...
async def ask_stream_async(
    target: Target | str, messages: Messages, schema: Any = None, **wishes: Unpack[Wishes]
) -> SpokenAsync[Any]:
    """``ask_stream`` for coroutines: ``async for piece in await ask_stream_async(...)``."""
    from router.client.sending import client_for_async, naming, send_async  # noqa: PLC0415 - likewise

    asking = _asking(target, messages, schema, wishes, stream=True)
    client, leave = client_for_async(asking, wishes.get("client"))
    try:
        response = await send_async(asking, client, stream=True)
        if response.status_code >= 400:
            with naming(asking):
                reply_of(asking, response.status_code, _headers(response), await response.aread())
    except BaseException:
        await leave()
        raise
    return SpokenAsync(Hearing(asking, response.status_code, _headers(response)), response, naming, leave)


def _asking(
    target: Target | str, messages: Messages, schema: type[T] | None, wishes: Wishes, *, stream: bool
) -> Asking[T]:
    if unknown := wishes.keys() - Wishes.__annotations__.keys():
        raise TypeError(
            f"ask takes no {', '.join(sorted(unknown))}; further fields of the format go into options={{...}}"
        )
    return prepared(
        _known(target),
        messages,
        shape_of(schema),
        temperature=wishes.get("temperature"),
        max_tokens=wishes.get("max_tokens"),
        logprobs=wishes.get("logprobs", False),
        timeout_s=wishes.get("timeout_s"),
        count=wishes.get("count"),
        options=wishes.get("options") or {},
        stream=stream,
    )


def _known(target: Target | str) -> Target:
    """The target, in the catalogue from here on: its price is found there, its launcher, and what a replay names."""
    catalogue = recorder.catalogue()
    if isinstance(target, str):
        return catalogue.get(target)
    if target.name not in catalogue:
        catalogue.add([target])
    return target


def _headers(response: Any) -> Headers:
    return lowered(response.headers.multi_items())
