"""Azure's own end points of all clouds: where they are here, and the certificate they serve."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from components.clouds import CLOUDS, Cloud
from components.regions import REGIONS
from sandbox import certificates
from sandbox.dataplane.network import SERVERS_PORT, Network
from sandbox.dataplane.room import Room


def places(network: Network) -> dict[str, str]:
    """Where Azure's own end points are, by host name or, with a dot in front, by its end."""
    found = {}
    for cloud in CLOUDS.values():
        found[f".blob.{cloud.storage_suffix}"] = network.storage
        found[f".{cloud.vault_suffix}"] = network.vault
        found[str(urlsplit(cloud.resource_manager).hostname)] = network.resource_manager
        found[_ingestion_suffix(cloud)] = network.ingestion
    return {host: f"{address}:{SERVERS_PORT}" for host, address in found.items()}


def certificate(room: Room) -> tuple[Path, Path]:
    """Make the certificate of Azure's own end points, new each time; return it and its key."""
    names = [f"*.blob.{each.storage_suffix}" for each in CLOUDS.values()]
    names += [f"*.{each.vault_suffix}" for each in CLOUDS.values()]
    names += [str(urlsplit(each.resource_manager).hostname) for each in CLOUDS.values()]
    names += [
        f"*.{region}-1{_ingestion_suffix(each)}"
        for each in CLOUDS.values()
        for region in REGIONS[each.name]
    ]
    bundle, authority = certificates.make(names[0], certificates.PASSWORD, *names[1:])
    key, leaf, _ = pkcs12.load_key_and_certificates(bundle, certificates.PASSWORD.encode())
    assert key, "it was made just now"
    assert leaf, "it was made just now"
    files = room.folder / "servers.pem", room.folder / "servers.key"
    files[1].touch(mode=0o600)
    files[0].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    room.authority.write_bytes(authority)
    return files


def _ingestion_suffix(cloud: Cloud) -> str:
    return f".ingest.{urlsplit(cloud.monitor_audience).hostname}"
