"""Opens a PFX and says nothing: for a process of its own, which can be ended where it takes long.

Standard input holds the file and the passwords to try, each after its length in four bytes.
"""

from __future__ import annotations

import contextlib
import sys
import warnings

from cryptography.hazmat.primitives.serialization import pkcs12


def main() -> None:
    """Tries the passwords, or none, until one opens the file."""
    given = sys.stdin.buffer.read()
    parts: list[bytes] = []
    while given:
        end = 4 + int.from_bytes(given[:4], "big")
        parts.append(given[4:end])
        given = given[end:]
    data, *passwords = parts
    warnings.simplefilter("ignore")
    for password in (*passwords, None):
        with contextlib.suppress(Exception):
            pkcs12.load_pkcs12(data, password)
            return


main()
