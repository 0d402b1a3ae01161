"""The settings in force as rows: what each is, and who said so. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Iterator, Mapping

from tracer import format as fmt
from tracer.config import Config, shown_url
from tracer.tail import Keep
from web.view.contexts_of_routes import SettingRow
from web.view.text import one_line


def setting_rows(config: Config, sources: Mapping[str, str]) -> Iterator[SettingRow]:
    """Every setting, in the order in which ``Config`` has them."""
    for each in fields(config):
        source = sources[each.name]
        yield SettingRow(each.name, words(each.name, getattr(config, each.name)), source, source == "default")


def plain_settings(config: Config, sources: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The same for a program."""
    return {row.name: {"value": row.value, "source": row.source} for row in setting_rows(config, sources)}


def words(name: str, value: Any) -> str:
    """A setting's value, without a password and without what a rule of redaction looks for."""
    if name == "database_url":
        return shown_url(value)
    if name == "redact":
        return fmt.plural(len(value), "rule") + " beside the built-in ones" if value else "the built-in rules"
    if name == "capture":
        return ", ".join(f"{pattern}={level}" for pattern, level in value) or "everything"
    if isinstance(value, Keep):
        return keep_words(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    if name.endswith("_bytes"):
        return fmt.size(value)
    if name == "sample":
        return f"{100 * value:g} % of the traces"
    return one_line(", ".join(value) or "none" if isinstance(value, tuple) else str(value), 300)


def keep_words(keep: Keep) -> str:
    """Which ended traces stay."""
    if keep.share >= 1.0:
        return "every trace"
    extra = [f"slower than {keep.slow_s:g} s"] if keep.slow_s is not None else []
    extra += [f"dearer than ${keep.dear_usd:g}"] if keep.dear_usd is not None else []
    rest = "; all " + ", and all ".join(extra) if extra else ""
    return f"{100 * keep.share:g} % of those that ended well; all others{rest}"
