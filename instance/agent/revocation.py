"""Revocation lists for client certificates, fetched from where the settings say."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from .certificates import BLOCK, openssl, split
from .places import Places
from .problem import Problem
from .web import Web

LIST_BYTES = 20_000_000
RENEW_SECONDS = 3600
RETRY_SECONDS = 120


class RevocationLists:
    """The newest list of each address, kept on disk so that it outlives a restart."""

    def __init__(self, web: Web, places: Places) -> None:
        self._web = web
        self._places = places
        self._folder = places.state / "revocation"
        self._due: dict[str, float] = {}

    def renew(self, urls: Sequence[str]) -> None:
        """Fetches the lists that are an hour old.

        Raises:
            Problem: one cannot be had; the last good ones stay.
        """
        problems: list[str] = []
        for url in urls:
            if time.monotonic() < self._due.get(url, 0):
                continue
            try:
                self._places.write(self._file(url), self._fetch(url))
                self._due[url] = time.monotonic() + RENEW_SECONDS
            except Problem as problem:
                self._due[url] = time.monotonic() + RETRY_SECONDS
                problems.append(f"The revocation list {url} cannot be had: {problem}")
        if problems:
            raise Problem(" ".join(problems))

    def bundle(self, urls: Sequence[str], roots: str) -> str:
        """All lists as nginx takes them.

        Args:
            urls: where the lists come from.
            roots: PEM of the authorities that client certificates chain to.

        Returns:
            PEM; empty where no lists are asked for.

        Raises:
            Problem: an authority has no list, and nginx would then refuse every client
                certificate, so revocation is off.
        """
        if not urls or not roots:
            return ""
        found = [self._file(url).read_text() for url in urls if self._file(url).exists()]
        issuers = {_issuer(text) for text in found}
        missing = [each.subject for each in split(roots) if each.subject not in issuers]
        if missing:
            raise Problem(
                "Revoked client certificates are not refused, since there is no revocation list"
                f" of {'; '.join(missing)}: name one for every authority."
            )
        return "".join(found)

    def _file(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()}.pem"

    def _fetch(self, url: str) -> str:
        reply = self._web.request(url, limit=LIST_BYTES, seconds=20)
        if reply.status != 200:
            raise Problem(f"its server answers with status {reply.status}.")
        encoding = "PEM" if reply.body.lstrip().startswith(b"-----BEGIN") else "DER"
        text = openssl("crl", "-inform", encoding, "-outform", "PEM", data=reply.body)
        found = BLOCK.search(text)
        if found is None:
            raise Problem("it is no revocation list.")
        return f"{found[0]}\n"


def _issuer(text: str) -> str:
    words = ("-noout", "-issuer", "-nameopt", "RFC2253")
    return openssl("crl", *words, data=text.encode()).strip().removeprefix("issuer=")
