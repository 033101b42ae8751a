"""What one value of a setting may be.

Each rule stands here once, as a function that gives the value in its normal form or refuses it.
A refusal's text goes on after "<key> <value>": it says the rule and what to do, without a full
stop at its end.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MINIMUM_RSA_BITS = 2048
MINIMUM_TOKEN_KEY_BYTES = 32
# Source: Microsoft Learn "Use tags to organize your Azure resources": storage accounts allow
# shorter names than other resources do, and every tag goes on the storage account too.
MOST_TAGS = 50
LONGEST_TAG_NAME = 128
LONGEST_TAG_VALUE = 256
LONGEST_PATH = 1024
LONGEST_BLOB_NAME = 1024
LONGEST_LINE = 256

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_LONGEST_FQDN = 253
_EMAIL_NAME = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME_IN_VAULT = r"[a-zA-Z0-9-]{1,127}"
_ARM_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/(?P<type>[^/]+/[^/]+)/(?P<name>[^/]+)/?",
    re.IGNORECASE,
)
# The balancer's probe is an HTTPS probe of the service port, and Azure refuses these for it
# (MicrosoftDocs/azure-docs load-balancer/load-balancer-custom-probe-overview.md).
_PORTS_A_PROBE_REFUSES = frozenset({19, 21, 25, 70, 110, 119, 143, 220, 993})
_HIGHEST_PORT = 65535
_HIGHEST_SERVICE_PORT = 65534
"""The last one that a balancing rule takes as its frontend port (azure-rest-api-specs
``Microsoft.Network/stable/2024-05-01/loadBalancer.json``, LoadBalancingRulePropertiesFormat)."""
_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
    )
)


class Refused(ValueError):
    """A value that breaks its rule."""


@dataclass(frozen=True)
class Between:
    """A whole number within bounds, both of them allowed."""

    low: int
    high: int
    unit: str = ""

    def __call__(self, value: int) -> int:
        """The value itself. Raises Refused."""
        if not self.low <= value <= self.high:
            raise Refused(f"is out of range: use a whole number {self}")
        return value

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}" + (f" ({self.unit})" if self.unit else "")


def fqdn(value: str) -> str:
    """A host name of at least two labels, in lower case, as A-labels, without a dot at its end.

    Source: RFC 1123 section 2.1, RFC 5891.
    """
    name = domain(value)
    if "." not in name:
        raise Refused(
            "is one label: give the whole host name with its domain, such as cdp1.contoso.com"
        )
    return name


def domain(value: str) -> str:
    """A domain name of one label or more, normalised like an FQDN."""
    name = value.strip().rstrip(".").lower()
    if "://" in name or "/" in name:
        raise Refused("is a URL: give the host name alone")
    if "*" in name:
        raise Refused("may not contain *: give the one host name that clients use")
    if not name.isascii():
        name = _a_labels(name)
    labels = name.split(".")
    if len(name) > _LONGEST_FQDN or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(
            "is not a host name: use labels of 1 to 63 letters, digits and hyphens (no hyphen "
            "first or last), separated by single dots, 253 characters at most"
        )
    if labels[-1].isdigit():
        raise Refused("is not a host name but an address: give the name that clients use")
    return name


def _a_labels(name: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        raise Refused(
            "has a character that international host names may not have: correct it"
        ) from None


def guid(value: str) -> str:
    """A GUID in lower case."""
    found = value.strip().lower()
    if not _GUID.fullmatch(found):
        raise Refused(
            "is not a GUID: give 32 hexadecimal digits in the form "
            "00000000-0000-0000-0000-000000000000"
        )
    return found


def email(value: str) -> str:
    """An e-mail address."""
    name, at, host = value.strip().rpartition("@")
    try:
        host = fqdn(host)
    except Refused:
        at = ""
    if not at or not _EMAIL_NAME.fullmatch(name):
        raise Refused("is not an e-mail address: use the form name@contoso.com")
    return f"{name}@{host}"


def _url(value: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    text = value.strip()
    rule = f"is not a URL that fits here: give one like {example}"
    if not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise Refused(rule)
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise Refused(rule) from None
    if not host or url.fragment:
        raise Refused(rule)
    if url.scheme not in schemes:
        begin = " or ".join(f"{scheme}://" for scheme in schemes)
        raise Refused(f"does not begin with {begin}: give a URL like {example}")
    return url


def https_url(value: str) -> str:
    """A URL whose scheme is https."""
    return _url(value, ("https",), "https://host.contoso.com/path").geturl()


def revocation_list_url(value: str) -> str:
    """The URL of a revocation list: http or https, since the instances know no LDAP."""
    return _url(value, ("http", "https"), "http://pki.contoso.com/root.crl").geturl()


def proxy_url(value: str) -> str:
    """The URL of a proxy, which may carry user and password; http where no scheme is given."""
    text = value.strip() if "://" in value else f"http://{value.strip()}"
    url = _url(text, ("http", "https"), "http://proxy.contoso.com:3128")
    if url.path not in ("", "/") or url.query:
        raise Refused("is not a proxy: give a URL like http://proxy.contoso.com:3128, no path")
    return url.geturl().rstrip("/")


def name_server(value: str) -> str:
    """A DNS server as ``host:port``, ``[v6]:port``, or the https URL of DNS over HTTPS."""
    if value.strip().lower().startswith("https://"):
        return https_url(value)
    try:
        return host_and_port(value, default_port=53)
    except Refused:
        raise Refused(
            "is not a DNS server: use host, host:port, [IPv6 address]:port, or an https:// URL "
            "for DNS over HTTPS"
        ) from None


def dns_server(value: str) -> str:
    """A DNS server that takes updates, as ``host:port`` or ``[v6]:port``."""
    try:
        return host_and_port(value, default_port=53)
    except Refused:
        raise Refused("is not a DNS server: use host, host:port or [IPv6 address]:port") from None


def host_and_port(value: str, *, default_port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    text = value.strip()
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") > 1:
        host, port = text, None
    else:
        host, colon, port = text.partition(":")
        port = port if colon else None
    if port is not None and not (port.isdigit() and 1 <= int(port) <= _HIGHEST_PORT):
        raise Refused("has no port from 1 to 65535")
    try:
        address = ipaddress.ip_address(host)
        shown = f"[{address}]" if address.version == 6 else str(address)
    except ValueError:
        if bracketed or ":" in host:
            raise Refused("has no IPv6 address") from None
        shown = domain(host)
    return f"{shown}:{port or default_port}"


def public_addresses(value: str) -> tuple[str, ...]:
    """IPv4 addresses as a storage firewall takes them: a network of /30 or larger, or single ones.

    Source: MicrosoftDocs/azure-docs ``storage/common/storage-network-security``: IPv4 only, no
    private ranges, and /31 and /32 have to be given as single addresses.
    """
    text = value.strip()
    rule = (
        "is not an IPv4 network: use CIDR notation like 203.0.113.0/24, or one address "
        "(the storage firewall knows no IPv6)"
    )
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise Refused(rule) from None
    if "/" in text and text.partition("/")[0] != str(network.network_address):
        raise Refused(f"has bits set outside its mask: write {network}")
    if any(network.overlaps(other) for other in _NOT_PUBLIC):
        raise Refused(
            "is not public: the storage firewall takes addresses of the internet only, so give "
            "the one that the publisher goes out with"
        )
    if network.prefixlen > 30:
        return tuple(str(address) for address in network)
    return (str(network),)


def arm_id(value: str, resource_type: str, what: str) -> str:
    """The id of a resource of one type in Azure Resource Manager, without a slash at its end."""
    found = _ARM_ID.fullmatch(value.strip())
    if (
        not found
        or found["type"].lower() != resource_type.lower()
        or not _GUID.fullmatch(found["subscription"].lower())
    ):
        raise Refused(
            f"is not the id of {what}: use the form /subscriptions/<GUID>/resourceGroups/<group>"
            f"/providers/{resource_type}/<name>"
        )
    return value.strip().rstrip("/")


def arm_names(resource_id: str) -> tuple[str, str, str]:
    """Subscription, resource group and name in an id that `arm_id` let through."""
    found = _ARM_ID.fullmatch(resource_id)
    assert found, resource_id
    return found["subscription"], found["group"], found["name"]


def subnet_id(value: str) -> str:
    """The resource id of a subnet."""
    network, marker, subnet = value.strip().rstrip("/").rpartition("/subnets/")
    try:
        network = arm_id(network, "Microsoft.Network/virtualNetworks", "a virtual network")
    except Refused:
        subnet = ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", subnet):
        raise Refused(
            "is not the id of a subnet: use the form /subscriptions/<GUID>/resourceGroups/<group>"
            "/providers/Microsoft.Network/virtualNetworks/<network>/subnets/<name>"
        )
    return network + marker + subnet


def key_vault_id(value: str) -> str:
    """The resource id of a Key Vault."""
    return arm_id(value, "Microsoft.KeyVault/vaults", "a Key Vault")


def log_workspace_id(value: str) -> str:
    """The resource id of a Log Analytics workspace."""
    return arm_id(value, "Microsoft.OperationalInsights/workspaces", "a Log Analytics workspace")


def key_vault_secret_id(value: str) -> str:
    """The URL of a secret in a Key Vault, without a version: the instances follow the newest."""
    rule = (
        "is not the URL of a Key Vault secret: use the form "
        "https://<vault>.vault.azure.net/secrets/<name>"
    )
    url = _url(value, ("https",), "https://<vault>.vault.azure.net/secrets/<name>")
    path = url.path.rstrip("/")
    if re.fullmatch(rf"/certificates/{_NAME_IN_VAULT}(/.*)?", path):
        raise Refused(
            "is the URL of a Key Vault certificate: write /secrets/ in place of /certificates/, "
            "under which the vault keeps the same certificate with its key"
        )
    if re.fullmatch(rf"/secrets/{_NAME_IN_VAULT}/[^/]+", path):
        raise Refused(
            "names one version, which would never be renewed: leave out what follows the "
            "secret's name"
        )
    if not re.fullmatch(rf"/secrets/{_NAME_IN_VAULT}", path) or url.query or url.port:
        raise Refused(rule)
    return f"https://{url.hostname}{path}"


def base64_text(value: str) -> str:
    """Text that is the base64 of something; line breaks do not matter and are taken out."""
    text = "".join(value.split())
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise Refused("is not base64: encode the file with `base64 -w0 FILE`")
    return text


def decoded(value: str) -> bytes:
    """What a text of `base64_text` stands for."""
    return base64.b64decode(value)


def token_key(value: str) -> str:
    """A key for signing tokens with HS256 (RFC 7518 section 3.2: as long as the hash or longer)."""
    if value != value.strip() or any(not c.isprintable() for c in value):
        raise Refused(
            "begins or ends with white space or has a control character, as a line break from a "
            "file: give the bare text"
        )
    if len(value.encode()) < MINIMUM_TOKEN_KEY_BYTES:
        raise Refused(
            f"is shorter than {MINIMUM_TOKEN_KEY_BYTES} bytes: make one with "
            "`openssl rand -base64 48`"
        )
    return value


def ssh_public_key(value: str) -> str:
    """An SSH public key that Azure takes: RSA of 2048 bits or more, or Ed25519. Comments go."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    text = value.strip()
    if "PRIVATE KEY" in text:
        raise Refused("is a private key: give the public one, and take this one out of use")
    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(
            "is not an SSH public key: give the one line of a .pub file, such as ssh-ed25519 AAAA…"
        ) from None
    strong = isinstance(key, rsa.RSAPublicKey) and key.key_size >= MINIMUM_RSA_BITS
    if not strong and not isinstance(key, ed25519.Ed25519PublicKey):
        raise Refused(
            f"is not a key that Azure takes: use RSA of {MINIMUM_RSA_BITS} bits or more, or Ed25519"
        )
    return " ".join(text.split()[:2])


def service_port(value: int) -> int:
    """A TCP port that the load balancer can serve and probe."""
    if not 1 <= value <= _HIGHEST_SERVICE_PORT:
        raise Refused(
            "is not a port that a load balancer serves: use a whole number from 1 to "
            f"{_HIGHEST_SERVICE_PORT}"
        )
    if value in _PORTS_A_PROBE_REFUSES:
        raise Refused("is a port that Azure's health probes may not use: choose another, as 443")
    return value


def zones(values: tuple[str, ...]) -> tuple[str, ...]:
    """Availability zones, in order."""
    wrong = [zone for zone in values if zone not in ("1", "2", "3")]
    if wrong or len(set(values)) != len(values):
        raise Refused('is not a list of zones: use "1", "2" and "3", each at most once')
    return tuple(sorted(values))


def tags(values: dict[str, str]) -> dict[str, str]:
    """Tags within Azure's limits.

    Source: Microsoft Learn "Use tags to organize your Azure resources and management hierarchy".
    """
    if len(values) > MOST_TAGS:
        raise Refused(f"has {len(values)} tags, and Azure takes {MOST_TAGS}: remove some")
    seen: dict[str, str] = {}
    for name, value in values.items():
        low = name.lower()
        if not name.strip() or len(name) > LONGEST_TAG_NAME or set(name) & set("<>%&\\?/"):
            raise Refused(
                f'has the tag name "{name}", which Azure refuses: use 1 to {LONGEST_TAG_NAME} '
                "characters without < > % & \\ ? /"
            )
        if low.startswith(("azure", "microsoft", "windows")):
            raise Refused(
                f'has the tag name "{name}", but azure, microsoft and windows are reserved as '
                "beginnings: choose another name"
            )
        if len(value) > LONGEST_TAG_VALUE:
            raise Refused(
                f'has a value of {len(value)} characters for the tag "{name}": Azure takes '
                f"{LONGEST_TAG_VALUE} at most, so shorten it"
            )
        if low in seen:
            raise Refused(
                f'has the tags "{seen[low]}" and "{name}", which are one to Azure: remove one'
            )
        seen[low] = name
    return values


def no_more_than(most: int, values: Sequence[object], what: str, rule: str) -> None:
    """Refuses a list that is longer than Azure takes."""
    if len(values) > most:
        raise Refused(f"has {len(values)} {what}, and {rule}")


def no_repeats(values: Iterable[str], what: str, *, key: Callable[[str], str] = str.lower) -> None:
    """Refuses a list in which something stands twice."""
    seen: set[str] = set()
    for value in values:
        if key(value) in seen:
            raise Refused(f"has the same {what} twice: remove one of them")
        seen.add(key(value))


def path(value: str) -> str:
    """The path of a file, as opposed to what is in one."""
    if len(value) > LONGEST_PATH or not value.isprintable():
        raise Refused("is not the path of a file: give the path, not what is in the file")
    if value.startswith(("~/", "~\\")):
        raise Refused(
            "begins with ~, which only a shell knows: give the whole path, or one that starts at "
            "the folder of Pulumi.yaml"
        )
    if os.name != "nt" and ("\\" in value or re.match(r"[a-zA-Z]:/", value)):
        raise Refused(
            "is a path of Windows, and this machine runs another system: write it with slashes, "
            "and let it start at the folder of Pulumi.yaml"
        )
    return value


def blob_name(value: str) -> str:
    """The name of a blob, with or without the slash that it has in an address.

    Source: Microsoft Learn "Naming and Referencing Containers, Blobs, and Metadata".
    """
    name = value.removeprefix("/")
    if not name or len(name) > LONGEST_BLOB_NAME or not name.isprintable():
        raise Refused(
            f"is not the path of content: give its name in the container, with up to "
            f"{LONGEST_BLOB_NAME} characters"
        )
    if "://" in name:
        raise Refused("is a whole URL: give the path only, such as packages/client.msi")
    if any(part in (".", "..") for part in name.split("/")):
        raise Refused("has a part that is . or .., which no path of content has: take it out")
    return name


def printable(value: str) -> str:
    """One line of text without control characters."""
    text = value.strip()
    if not text.isprintable():
        raise Refused("has a line break or another control character: write it in one line")
    if len(text) > LONGEST_LINE:
        raise Refused(f"is longer than {LONGEST_LINE} characters: shorten it")
    return text
