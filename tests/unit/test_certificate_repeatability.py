"""The same certificate gives the same bytes, whoever reads it, in whatever order it was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from tests.unit.certificates import (
    PASSWORD,
    encrypted,
    intermediate,
    legacy,
    make_authority,
    make_certificate,
    pack,
    root,
    rsa_key,
)

ROOT = Path(__file__).parents[2]
RUNS = 20
AT_ONCE = 2
SECONDS = 60
READER = """
import json, random, sys
from pathlib import Path
from components.certificate import ServiceCertificate

files = sorted(Path(sys.argv[1]).glob("*.pfx"))
random.shuffle(files)
read = [ServiceCertificate.read(file.read_bytes(), sys.argv[2]) for file in files]
print(json.dumps(sorted({(c.pem, c.chain_pem, c.thumbprint, c.subject, c.expires) for c in read})))
"""


def test_twenty_processes_read_the_same_from_every_order_of_the_file(tmp_path: Path) -> None:
    """Each process has another seed for its hashes, on which the order of a set depends."""
    lower = make_authority("Contoso Test Lower", issuer=intermediate())
    leaf = make_certificate("cdp1.contoso.com", rsa_key(), issuer=lower, names=["cdp1.contoso.com"])
    second = make_authority("Contoso Test Second Root")
    crossed = make_certificate(
        "Contoso Test Issuing", intermediate().key, issuer=second, usages=None, ca=True
    )
    # Two ways lead from the leaf to a root, equally long.
    ways = [[intermediate().certificate, root().certificate], [crossed, second.certificate]]
    every = [each for way in ways for each in way]
    for number, (way, end) in enumerate(product(ways, (1, -1))):
        chain = [lower.certificate, *way, *(each for each in every if each not in way)][::end]
        encryption = legacy() if number % 2 else encrypted()
        name = f"Export {number}"
        data = pack(rsa_key(), leaf, chain, friendly_name=name, encryption=encryption)
        (tmp_path / f"{number}.pfx").write_bytes(data)

    def read(seed: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", READER, str(tmp_path), PASSWORD],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        ).stdout

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outputs = set(pool.map(read, range(RUNS)))
    assert len(outputs) == 1
    (one,) = json.loads(outputs.pop())
    assert one[1].count("BEGIN CERTIFICATE") == 3
