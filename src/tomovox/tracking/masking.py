"""What of an address may be shown? Not its user, its password or what its query says."""

import re
from urllib.parse import quote, unquote

HIDDEN = "***"

_USER = re.compile(r"(?<=://)\S*@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#]\S*")
_VALUE = re.compile(r"([?&;][\w.%-]+=)[^\s&;'\")]+")
_BETWEEN = re.compile(r"[/:@?#&;=]")
_LOCAL = ("sqlite:", "file:")
"""Addresses of files: an @ in one is part of a folder's name."""


def address(uri: str) -> str:
    """Return an address without its secrets; one that has none stays as it is.

    Everything up to the last @ counts as user and password, even where they hold an @ or a slash
    that should have been quoted.
    """
    scheme, colon, rest = uri.partition("://")
    if not colon:
        return uri
    user, at, place = rest.rpartition("@")
    if uri.startswith(_LOCAL):
        user, at, place = "", "", rest
    return _QUERY.sub(rf"\1?{HIDDEN}", f"{scheme}://{HIDDEN if user else ''}{at}{place}")


def masked(text: str, uri: str = "") -> str:
    """Return a text without the secrets of any address in it, nor those of `uri` anywhere in it."""
    if uri:
        text = text.replace(uri, address(uri))
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _QUERY.sub(rf"\1?{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))
    return _VALUE.sub(rf"\1{HIDDEN}", text)


def _secrets(uri: str) -> set[str]:
    """Return the parts of user, password and query, as they are and as a message may quote them.

    Parts of three letters or fewer would hide half of every message.
    """
    rest = uri.partition("://")[2]
    if uri.startswith(_LOCAL):
        return set()
    user, _, place = rest.rpartition("@")
    query = place.partition("?")[2]
    values = [pair.partition("=")[2] or pair for pair in re.split("[&;]", query)]
    parts = {part for text in (user, *values) for part in (text, *_BETWEEN.split(text))}
    return {said for part in parts for said in (part, unquote(part), quote(part)) if len(said) > 3}
