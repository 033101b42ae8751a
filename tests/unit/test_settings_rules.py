"""Each rule of the settings, with the sentence in which a user is told that it was broken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from .certificates import PASSWORD, ec_key, make_certificate, rsa_key
from .stack import GUID, TOKEN_KEY, VNET, folder, loaded, problems

VAULT = f"/subscriptions/{GUID}/resourceGroups/pki/providers/Microsoft.KeyVault/vaults/pki"
SECRET = "https://pki.vault.azure.net/secrets/cdp1"
IN_VAULT = {"keyVaultSecretId": SECRET, "keyVaultId": VAULT}
RFC2136 = {
    "mode": "rfc2136",
    "zone": "contoso.com",
    "server": "ns1.contoso.com",
    "keyName": "clouddp",
    "keySecret": "c2VjcmV0",
}
AZURE_DNS = {"mode": "azure", "zone": "contoso.com", "resourceGroup": "names"}


def openssh(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return public.decode() + " somebody@somewhere"


def arm(provider: str, name: str = "x") -> str:
    return f"/subscriptions/{GUID}/resourceGroups/g/providers/{provider}/{name}"


HOST_NAME_RULE = (
    "is not a host name: use labels of 1 to 63 letters, digits and hyphens (no hyphen first or "
    "last), separated by single dots, 253 characters at most."
)
GUID_RULE = (
    "is not a GUID: give 32 hexadecimal digits in the form 00000000-0000-0000-0000-000000000000."
)
LABEL_RULE = (
    "is not a DNS label that Azure takes: use 3 to 63 lower-case letters, digits and hyphens, a "
    "letter first and no hyphen last."
)
VAULT_RULE = (
    "is not a Key Vault name: use 3 to 24 letters, digits and single hyphens, a letter first and "
    "no hyphen last."
)
GROUP_RULE = (
    "is not a resource group name: use 1 to 90 letters, digits, underscores, hyphens, parentheses "
    "and full stops, no full stop last."
)
DNS_SERVER_RULE = (
    "is not a DNS server: use host, host:port, [IPv6 address]:port, or an https:// URL for DNS "
    "over HTTPS."
)
WINDOWS_PATH = (
    "is a path of Windows, and this machine runs another system: write it with slashes, and let "
    "it start at the folder of Pulumi.yaml."
)
SOURCES = "certificate.pfxFile, certificate.pfxBase64, certificate.keyVaultSecretId"
REVOCATION_URL_RULE = "is not a URL that fits here: give one like http://pki.contoso.com/root.crl."
NOT_PUBLIC = (
    "is not public: the storage firewall takes addresses of the internet only, so give the one "
    "that the publisher goes out with."
)
NOT_A_NETWORK = (
    "is not an IPv4 network: use CIDR notation like 203.0.113.0/24, or one address (the storage "
    "firewall knows no IPv6)."
)


def size_rule(instead: str) -> str:
    return (
        "cannot do Trusted Launch, which the service needs: the nearest size that can is "
        f"{instead}."
    )


def number_rule(low: int, high: int, unit: str = "") -> str:
    unit = f" ({unit})" if unit else ""
    return f"is out of range: use a whole number from {low} to {high}{unit}."


BROKEN: list[tuple[dict[str, Any], str]] = [
    # region and cloud
    ({"region": ""}, 'region is required: set an Azure region such as "westeurope".'),
    (
        {"region": "West Europa"},
        'region "West Europa" is not an Azure region: did you mean "westeurope"?',
    ),
    (
        {"region": "west-europe"},
        (
            'region "west-europe" is not the name of an Azure region: use its display name or its '
            'short name, such as "West Europe" or "westeurope".'
        ),
    ),
    (
        {"region": "US Gov Virginia"},
        (
            'region "US Gov Virginia" is a region of the cloud "usgovernment", but the provider '
            'signs in to "public": choose one of its regions, or run `pulumi config set '
            "azure-native:environment usgovernment`."
        ),
    ),
    (
        {"cloud": "german"},
        'cloud "german" is not an Azure cloud: use "public", "usgovernment" or "china".',
    ),
    (
        {"cloud": "china"},
        (
            'cloud "china" is not the cloud that the provider signs in to ("public"): remove it, '
            "or run `pulumi config set azure-native:environment china`."
        ),
    ),
    # names
    (
        {"serviceFqdn": "https://cdp1.contoso.com/"},
        'serviceFqdn "https://cdp1.contoso.com/" is a URL: give the host name alone.',
    ),
    (
        {"serviceFqdn": "*.contoso.com"},
        'serviceFqdn "*.contoso.com" may not contain *: give the one host name that clients use.',
    ),
    (
        {"serviceFqdn": "cdp1"},
        (
            'serviceFqdn "cdp1" is one label: give the whole host name with its domain, such as '
            "cdp1.contoso.com."
        ),
    ),
    (
        {"serviceFqdn": "cdp_1.contoso.com"},
        f'serviceFqdn "cdp_1.contoso.com" {HOST_NAME_RULE}',
    ),
    (
        {"serviceFqdn": "192.0.2.1"},
        (
            'serviceFqdn "192.0.2.1" is not a host name but an address: give the name that clients '
            "use."
        ),
    ),
    (
        {"serviceFqdn": "\u2603\ufe0f.contoso.com"},
        (
            'serviceFqdn "\u2603\ufe0f.contoso.com" has a character that international host names '
            "may not have: correct it."
        ),
    ),
    (
        {
            "serviceFqdn": "cdp1.northeurope.cloudapp.azure.com",
            "certificate": IN_VAULT,
        },
        (
            'serviceFqdn "cdp1.northeurope.cloudapp.azure.com" lies in the Azure domain, but is '
            "not of the form <label>.westeurope.cloudapp.azure.com: "
            "correct it, or choose the region "
            "that it names."
        ),
    ),
    (
        {"certificate": {"pfxFile": "intranet.pfx", "password": PASSWORD}},
        (
            'certificate.pfxFile "intranet.pfx" has the name "cdp1" without its domain: set '
            "serviceFqdn to another of its names (cdp1), or get a certificate for a whole host "
            "name such as cdp1.contoso.com."
        ),
    ),
    (
        {"serviceName": "Cdp1"},
        (
            'serviceName "Cdp1" is not a service name: use 3 to 18 lower-case letters and digits, '
            "a letter first."
        ),
    ),
    (
        {"certificate": {"pfxFile": "label.pfx", "password": PASSWORD}},
        (
            'serviceName is not given, and the first label of "a.contoso.com" gives "a", which is '
            "not 3 to 18 lower-case letters and digits that begin with a letter: set serviceName."
        ),
    ),
    (
        {"serviceFqdn": "münchen.contoso.com", "certificate": IN_VAULT},
        (
            'serviceName is not given, and the first label of "xn--mnchen-3ya.contoso.com" begins '
            'with the international label "xn--mnchen-3ya", which gives no name: set serviceName.'
        ),
    ),
    ({"dnsLabel": "1cdp"}, f'dnsLabel "1cdp" {LABEL_RULE}'),
    (
        {"dnsLabel": "login-cdp"},
        (
            'dnsLabel "login-cdp" has the word "login", which Azure reserves in public names: '
            "choose another name."
        ),
    ),
    (
        {
            "certificate": {"pfxFile": "azure.pfx", "password": PASSWORD},
            "dnsLabel": "another",
        },
        (
            'dnsLabel "another" contradicts serviceFqdn "cdp1.westeurope.cloudapp.azure.com", '
            'whose label in the Azure domain is "cdp1": remove it.'
        ),
    ),
    (
        {"storageAccountName": "my-account"},
        (
            'storageAccountName "my-account" is not a storage account name: use 3 to 24 lower-case '
            "letters and digits."
        ),
    ),
    ({"keyVaultName": "my--vault"}, f'keyVaultName "my--vault" {VAULT_RULE}'),
    (
        {"keyVaultName": "outlook"},
        (
            'keyVaultName "outlook" has the word "outlook", which Azure reserves in public names: '
            "choose another name."
        ),
    ),
    (
        {"serviceName": "windowscdp", "dnsLabel": "cdp1", "keyVaultName": "cdp1vault"},
        (
            'storageAccountName is not given, and would be "windowscdpyav3hl", which has the word '
            '"windows", which Azure reserves in public names: choose another name.'
        ),
    ),
    (
        {"description": "x" * 257},
        "description is longer than 256 characters: shorten it.",
    ),
    (
        {"description": "a\tb"},
        (
            'description "a\N{REPLACEMENT CHARACTER}b" has a line break or another control '
            "character: write it in one line."
        ),
    ),
    (
        {"certificate": {"pfxFile": "~/cdp1.pfx", "password": PASSWORD}},
        (
            'certificate.pfxFile "~/cdp1.pfx" begins with ~, which only a shell knows: give the '
            "whole path, or one that starts at the folder of Pulumi.yaml."
        ),
    ),
    (
        {"certificate": {"pfxFile": "C:/cdp1.pfx", "password": PASSWORD}},
        f'certificate.pfxFile "C:/cdp1.pfx" {WINDOWS_PATH}',
    ),
    (
        {"readinessPath": "https://cdp1.contoso.com/one.bin"},
        (
            'readinessPath "https://cdp1.contoso.com/one.bin" is a whole URL: give the path only, '
            "such as packages/client.msi."
        ),
    ),
    (
        {"readinessPath": "packages/../one.bin"},
        (
            'readinessPath "packages/../one.bin" has a part that is . or .., which no path of '
            "content has: take it out."
        ),
    ),
    (
        {"readinessPath": "/"},
        (
            'readinessPath "/" is not the path of content: give its name in the container, with '
            "up to 1024 characters."
        ),
    ),
    (
        {"statusLogFile": "logs\\cdp1.log"},
        f'statusLogFile "logs\\cdp1.log" {WINDOWS_PATH}',
    ),
    ({"subscriptionId": "contoso"}, f'subscriptionId "contoso" {GUID_RULE}'),
    ({"resourceGroup": "group."}, f'resourceGroup "group." {GROUP_RULE}'),
    (
        {"useExistingResourceGroup": True},
        "useExistingResourceGroup true needs the group's name: set resourceGroup.",
    ),
    # certificate
    ({"certificate": {}}, f"certificate names no source: set exactly one of {SOURCES}."),
    (
        {"certificate": {"pfxFile": "cdp1.pfx", **IN_VAULT}, "serviceFqdn": "cdp1.contoso.com"},
        f"certificate has pfxFile and keyVaultSecretId: set exactly one of {SOURCES}.",
    ),
    (
        {"certificate": {"pfxFile": "none.pfx"}},
        f'certificate.pfxFile "none.pfx" does not exist: there is no file {folder()}/none.pfx.',
    ),
    (
        {"certificate": {"pfxFile": "MII" * 400}},
        "certificate.pfxFile is not the path of a file: give the path, not what is in the file.",
    ),
    (
        {"certificate": {"pfxBase64": "not base64!"}},
        "certificate.pfxBase64 is not base64: encode the file with `base64 -w0 FILE`.",
    ),
    (
        {"certificate": IN_VAULT},
        (
            "serviceFqdn is required with certificate.keyVaultSecretId, whose certificate is not "
            "read here: set the name that clients use."
        ),
    ),
    (
        {"certificate": {"keyVaultSecretId": SECRET}, "serviceFqdn": "cdp1.contoso.com"},
        (
            "certificate.keyVaultId is required with certificate.keyVaultSecretId, for the role of "
            "the service on that vault: set the vault's resource id (`az "
            "keyvault show --query id`)."
        ),
    ),
    (
        {
            "certificate": {"keyVaultSecretId": SECRET, "keyVaultId": VAULT + "2"},
            "serviceFqdn": "cdp1.contoso.com",
        },
        (
            f'certificate.keyVaultId "{VAULT}2" is not the vault "pki" of '
            "certificate.keyVaultSecretId: correct one of them."
        ),
    ),
    (
        {
            "certificate": {**IN_VAULT, "keyVaultSecretId": SECRET + "/0123456789abcdef"},
            "serviceFqdn": "cdp1.contoso.com",
        },
        (
            f'certificate.keyVaultSecretId "{SECRET}/0123456789abcdef" names one version, which '
            "would never be renewed: leave out what follows the secret's name."
        ),
    ),
    (
        {
            "certificate": {
                **IN_VAULT,
                "keyVaultSecretId": "https://pki.vault.azure.net/certificates/cdp1",
            },
            "serviceFqdn": "cdp1.contoso.com",
        },
        (
            'certificate.keyVaultSecretId "https://pki.vault.azure.net/certificates/cdp1" is the '
            "URL of a Key Vault certificate: write /secrets/ in place of "
            "/certificates/, under which "
            "the vault keeps the same certificate with its key."
        ),
    ),
    (
        {
            "certificate": {**IN_VAULT, "keyVaultSecretId": "https://pki.vault.azure.net/x"},
            "serviceFqdn": "cdp1.contoso.com",
        },
        (
            'certificate.keyVaultSecretId "https://pki.vault.azure.net/x" is not the URL of a Key '
            "Vault secret: use the form https://<vault>.vault.azure.net/secrets/<name>."
        ),
    ),
    (
        {
            "certificate": {
                **IN_VAULT,
                "keyVaultSecretId": "https://pki.vault.azure.cn/secrets/cdp1",
            },
            "serviceFqdn": "cdp1.contoso.com",
        },
        (
            'certificate.keyVaultSecretId "https://pki.vault.azure.cn/secrets/cdp1" is not in the '
            'cloud "public": its host must end in .vault.azure.net.'
        ),
    ),
    (
        {
            "certificate": {**IN_VAULT, "keyVaultId": arm("Microsoft.Storage/storageAccounts")},
            "serviceFqdn": "cdp1.contoso.com",
        },
        (
            f'certificate.keyVaultId "{arm("Microsoft.Storage/storageAccounts")}" is not the id of '
            "a Key Vault: use the form /subscriptions/<GUID>/resourceGroups/<group>/providers/"
            "Microsoft.KeyVault/vaults/<name>."
        ),
    ),
    (
        {"certificate": {**IN_VAULT, "password": "x"}, "serviceFqdn": "cdp1.contoso.com"},
        "certificate.password has no meaning with certificate.keyVaultSecretId: remove it.",
    ),
    (
        {"certificate": {"pfxFile": "cdp1.pfx", "password": PASSWORD, "keyVaultId": VAULT}},
        f'certificate.keyVaultId "{VAULT}" has no meaning with certificate.pfxFile: remove it.',
    ),
    # numbers
    ({"storageQuotaGB": 0}, f"storageQuotaGB 0 {number_rule(1, 5_000_000, 'GB')}"),
    ({"transferQuotaGB": -1}, f"transferQuotaGB -1 {number_rule(1, 1_000_000_000, 'GB')}"),
    ({"transferPeriodDays": 91}, f"transferPeriodDays 91 {number_rule(1, 90, 'days')}"),
    ({"warningPercent": 0}, f"warningPercent 0 {number_rule(1, 100, 'percent of the quota')}"),
    (
        {"criticalPercent": 101},
        f"criticalPercent 101 {number_rule(1, 100, 'percent of the quota')}",
    ),
    (
        {"warningPercent": 90},
        (
            "warningPercent 90 must be less than criticalPercent, which is 90: lower the one or "
            "raise the other."
        ),
    ),
    ({"certificateWarningDays": 0}, f"certificateWarningDays 0 {number_rule(1, 365, 'days')}"),
    ({"monthlyBudget": -5}, f"monthlyBudget -5 {number_rule(0, 1_000_000_000)}"),
    ({"instances": 17}, f"instances 17 {number_rule(0, 16)}"),
    *(
        (
            {"servicePort": port},
            (
                f"servicePort {port} is not a port that a load balancer serves: use a whole "
                "number from 1 to 65534."
            ),
        )
        for port in (0, 65535)
    ),
    (
        {"servicePort": 25},
        "servicePort 25 is a port that Azure's health probes may not use: choose another, as 443.",
    ),
    (
        {"readinessTimeoutMinutes": 1441},
        f"readinessTimeoutMinutes 1441 {number_rule(0, 1440, 'minutes')}",
    ),
    (
        {"readinessIntervalSeconds": 0},
        f"readinessIntervalSeconds 0 {number_rule(1, 600, 'seconds')}",
    ),
    (
        {"readinessIntervalSeconds": 61, "readinessTimeoutMinutes": 1},
        (
            "readinessIntervalSeconds 61 is longer than readinessTimeoutMinutes, which is 1: "
            "shorten it."
        ),
    ),
    # alerts
    (
        {"alertEmails": ["a@contoso.com", "team"]},
        'alertEmails[1] "team" is not an e-mail address: use the form name@contoso.com.',
    ),
    (
        {"alertEmails": ["a@contoso.com", "A@contoso.com"]},
        "alertEmails has the same address twice: remove one of them.",
    ),
    (
        {"alertEmails": [f"a{n}@contoso.com" for n in range(1001)]},
        "alertEmails has 1001 addresses, and an action group takes 1000: use a distribution list.",
    ),
    (
        {"alertWebhooks": ["http://hooks.contoso.com/secret"]},
        (
            "alertWebhooks[0] does not begin with https://: give a URL like "
            "https://host.contoso.com/path."
        ),
    ),
    (
        {"alertWebhooks": [f"https://hooks.contoso.com/{n}" for n in range(11)]},
        "alertWebhooks has 11 URLs, and an action group takes 10: remove some.",
    ),
    (
        {"alertWebhooks": ["https://hooks.contoso.com/"] * 2},
        "alertWebhooks has the same URL twice: remove one of them.",
    ),
    (
        {"logWorkspaceId": arm("Microsoft.KeyVault/vaults")},
        (
            f'logWorkspaceId "{arm("Microsoft.KeyVault/vaults")}" is not the id of a Log Analytics '
            "workspace: use the form /subscriptions/<GUID>/resourceGroups/<group>/providers/"
            "Microsoft.OperationalInsights/workspaces/<name>."
        ),
    ),
    # instances
    (
        {"vmSize": "D2s_v5"},
        'vmSize "D2s_v5" is not the name of a virtual machine size: use the form Standard_D2s_v5.',
    ),
    ({"vmSize": "Standard_A2_v2"}, f'vmSize "Standard_A2_v2" {size_rule("Standard_D2s_v5")}'),
    ({"vmSize": "Standard_D2ps_v5"}, f'vmSize "Standard_D2ps_v5" {size_rule("Standard_D2ps_v6")}'),
    (
        {"zones": ["1", "4"]},
        'zones is not a list of zones: use "1", "2" and "3", each at most once.',
    ),
    (
        {"zones": ["1", "1"]},
        'zones is not a list of zones: use "1", "2" and "3", each at most once.',
    ),
    (
        {"automaticOsUpgrades": True},
        (
            'automaticOsUpgrades true is not possible with vmSize "Standard_D2s_v5": Azure '
            "upgrades the image of arm64 sizes only, so remove it or "
            "choose a size like Standard_D2ps_v6."
        ),
    ),
    (
        {"sshPublicKey": "ssh-rsa AAAA"},
        (
            "sshPublicKey is not an SSH public key: give the one line of a .pub file, such as "
            "ssh-ed25519 AAAA…."
        ),
    ),
    (
        {"sshPublicKey": openssh(rsa_key(1024))},
        "sshPublicKey is not a key that Azure takes: use RSA of 2048 bits or more, or Ed25519.",
    ),
    (
        {"sshPublicKey": openssh(ec_key())},
        "sshPublicKey is not a key that Azure takes: use RSA of 2048 bits or more, or Ed25519.",
    ),
    (
        {"sshPublicKey": "-----BEGIN OPENSSH PRIVATE KEY-----"},
        "sshPublicKey is a private key: give the public one, and take this one out of use.",
    ),
    # access
    (
        {"access": {}},
        (
            "access names no way in: set access.clientTrustRoots, access.tokenKey, or "
            "access.anonymous: true."
        ),
    ),
    (
        {"access": {"anonymous": False}},
        (
            "access names no way in: set access.clientTrustRoots, access.tokenKey, or "
            "access.anonymous: true."
        ),
    ),
    (
        {"access": {"tokenKey": TOKEN_KEY[:-1]}},
        "access.tokenKey is shorter than 32 bytes: make one with `openssl rand -base64 48`.",
    ),
    (
        {"access": {"tokenKey": TOKEN_KEY + "\n"}},
        (
            "access.tokenKey begins or ends with white space or has a control character, as a line "
            "break from a file: give the bare text."
        ),
    ),
    (
        {"access": {"previousTokenKey": TOKEN_KEY, "anonymous": True}},
        "access.previousTokenKey has no tokenKey beside it: set access.tokenKey.",
    ),
    (
        {"access": {"previousTokenKey": TOKEN_KEY, "tokenKey": TOKEN_KEY}},
        "access.previousTokenKey is the same as access.tokenKey: remove it.",
    ),
    (
        {"access": {"tokenKey": TOKEN_KEY, "revocationLists": ["http://pki.contoso.com/r.crl"]}},
        (
            "access.revocationLists has no meaning without access.clientTrustRoots: set those, or "
            "remove it."
        ),
    ),
    (
        {"access": {"clientTrustRoots": ["roots.pem"], "revocationLists": ["ldap:///CN=CA"]}},
        f'access.revocationLists[0] "ldap:///CN=CA" {REVOCATION_URL_RULE}',
    ),
    (
        {"access": {"clientTrustRoots": ["roots.pem", "roots.pem"]}},
        "access.clientTrustRoots has the same file twice: remove one of them.",
    ),
    (
        {"access": {"clientTrustRoots": ["roots.pem"]}, "readinessPath": "one.bin"},
        (
            'readinessPath "one.bin" needs a way in that this program has too, and a client '
            "certificate is none: set access.tokenKey or access.anonymous: true, or remove it."
        ),
    ),
    (
        {"access": {"clientTrustRoots": ["none.pem"]}},
        (
            'access.clientTrustRoots[0] "none.pem" does not exist: there is no file '
            f"{folder()}/none.pem."
        ),
    ),
    (
        {"access": {"clientTrustRoots": ["cdp1.pfx"]}},
        (
            'access.clientTrustRoots[0] "cdp1.pfx" holds no PEM certificates '
            f"({folder()}/cdp1.pfx): name a text file with -----BEGIN CERTIFICATE----- in it."
        ),
    ),
    (
        {"access": {"clientTrustRoots": ["root.cer"]}},
        (
            'access.clientTrustRoots[0] "root.cer" holds no PEM certificates '
            f"({folder()}/root.cer): convert it with `openssl x509 -inform DER -in FILE -out "
            "FILE.pem`."
        ),
    ),
    (
        {"contentPublishers": [{"objectId": "x", "type": "User"}]},
        f'contentPublishers[0].objectId "x" {GUID_RULE}',
    ),
    (
        {"contentPublishers": [{"objectId": GUID, "type": "user"}]},
        (
            'contentPublishers[0].type "user" is not one of the choices: use "User", "Group" or '
            '"ServicePrincipal".'
        ),
    ),
    ({"contentPublishers": [{"objectId": GUID}]}, "contentPublishers[0].type is missing: add it."),
    (
        {"contentPublishers": [{"objectId": GUID, "type": "User"}] * 2},
        "contentPublishers has the same objectId twice: remove one of them.",
    ),
    (
        {"publisherAddresses": ["203.0.113.0/24", "10.1.2.3"]},
        f'publisherAddresses[1] "10.1.2.3" {NOT_PUBLIC}',
    ),
    ({"publisherAddresses": ["0.0.0.0/0"]}, f'publisherAddresses[0] "0.0.0.0/0" {NOT_PUBLIC}'),
    (
        {"publisherAddresses": ["2001:db8::/32"]},
        f'publisherAddresses[0] "2001:db8::/32" {NOT_A_NETWORK}',
    ),
    (
        {"publisherAddresses": ["203.0.113.7/24"]},
        (
            'publisherAddresses[0] "203.0.113.7/24" has bits set outside its mask: write '
            "203.0.113.0/24."
        ),
    ),
    (
        {"publisherAddresses": ["203.0.113.6/31", "203.0.113.7"]},
        "publisherAddresses has the same address twice: remove one of them.",
    ),
    (
        {"publisherAddresses": [f"203.0.{n // 250}.{n % 250}" for n in range(401)]},
        (
            "publisherAddresses has 401 addresses, and a storage account takes 400: use larger "
            "networks."
        ),
    ),
    (
        {"publisherSubnets": [VNET]},
        (
            f'publisherSubnets[0] "{VNET}" is not the id of a subnet: use the form '
            "/subscriptions/<GUID>/resourceGroups/<group>/providers/Microsoft.Network"
            "/virtualNetworks/<network>/subnets/<name>."
        ),
    ),
    (
        {"publisherSubnets": [f"{VNET}/subnets/a", f"{VNET}/subnets/A"]},
        "publisherSubnets has the same subnet twice: remove one of them.",
    ),
    (
        {"publisherSubnets": [f"{VNET}/subnets/a{n}" for n in range(400)]},
        (
            "publisherSubnets has 400 subnets, and a storage account takes 399 beside the "
            "service's own: remove some."
        ),
    ),
    # DNS and checks
    (
        {"dns": {"mode": "bind"}},
        'dns.mode "bind" is not one of the choices: use "azure", "rfc2136" or "manual".',
    ),
    (
        {"dns": {"mode": "azure", "zone": "contoso.com"}},
        'dns.resourceGroup is required with dns.mode "azure": set it.',
    ),
    (
        {"dns": {"mode": "azure", "resourceGroup": "names"}},
        'dns.zone is required with dns.mode "azure": set it.',
    ),
    (
        {"dns": {**RFC2136, "server": None}},
        'dns.server is required with dns.mode "rfc2136": set it.',
    ),
    (
        {"dns": {**RFC2136, "keyName": None}},
        'dns.keyName is required with dns.mode "rfc2136": set it.',
    ),
    (
        {"dns": {**RFC2136, "keySecret": None}},
        'dns.keySecret is required with dns.mode "rfc2136": set it.',
    ),
    (
        {"dns": {**RFC2136, "zone": None}},
        'dns.zone is required with dns.mode "rfc2136": set it.',
    ),
    (
        {"dns": {**RFC2136, "keySecret": "?"}},
        "dns.keySecret is not base64: encode the file with `base64 -w0 FILE`.",
    ),
    (
        {"dns": {**RFC2136, "keyAlgorithm": "hmac-md5"}},
        (
            'dns.keyAlgorithm "hmac-md5" is not one of the choices: use "hmac-sha1", '
            '"hmac-sha224", "hmac-sha256", "hmac-sha384" or "hmac-sha512".'
        ),
    ),
    (
        {"dns": {**RFC2136, "server": "ns1.contoso.com:dns"}},
        (
            'dns.server "ns1.contoso.com:dns" is not a DNS server: use host, host:port or [IPv6 '
            "address]:port."
        ),
    ),
    (
        {"dns": {"server": "ns1.contoso.com"}},
        (
            'dns.server "ns1.contoso.com" has no meaning with dns.mode "manual": remove it, or '
            "change the mode."
        ),
    ),
    (
        {"dns": {**RFC2136, "subscriptionId": GUID}},
        (
            f'dns.subscriptionId "{GUID}" has no meaning with dns.mode "rfc2136": remove it, or '
            "change the mode."
        ),
    ),
    (
        {"dns": {**AZURE_DNS, "zone": "fabrikam.com"}},
        (
            'dns.zone "fabrikam.com" does not hold serviceFqdn "cdp1.contoso.com": name the zone '
            "that the record goes into."
        ),
    ),
    (
        {"dns": {**AZURE_DNS, "zone": "cdp1.contoso.com"}},
        (
            'dns.zone "cdp1.contoso.com" is serviceFqdn itself, and the apex of a zone takes no '
            "CNAME record: choose a name below it, or the zone above it."
        ),
    ),
    (
        {"certificate": {"pfxFile": "azure.pfx", "password": PASSWORD}, "dns": AZURE_DNS},
        (
            'dns.mode "azure" has no meaning with serviceFqdn '
            '"cdp1.westeurope.cloudapp.azure.com", '
            "which lies in the Azure domain and needs no record: remove dns."
        ),
    ),
    ({"dns": {"ttl": 0}}, f"dns.ttl 0 {number_rule(1, 604_800, 'seconds')}"),
    ({"nameservers": ["192.0.2.1:0"]}, f'nameservers[0] "192.0.2.1:0" {DNS_SERVER_RULE}'),
    ({"nameservers": ["[192.0.2.1"]}, f'nameservers[0] "[192.0.2.1" {DNS_SERVER_RULE}'),
    (
        {"proxy": "http://user:pass@proxy.contoso.com/path"},
        "proxy is not a proxy: give a URL like http://proxy.contoso.com:3128, no path.",
    ),
    (
        {"proxy": "socks5://user:pass@proxy.contoso.com"},
        (
            "proxy does not begin with http:// or https://: give a URL like "
            "http://proxy.contoso.com:3128."
        ),
    ),
    (
        {"statusLogFile": "logs/cdp.log"},
        f'statusLogFile "logs/cdp.log" lies in no folder: create {folder()}/logs.',
    ),
    (
        {"statusLogFile": "."},
        f'statusLogFile "." is a folder ({folder()}): give the path of a file.',
    ),
    (
        {"statusLogFile": "x" * 300},
        "statusLogFile cannot be reached (File name too long): choose another path.",
    ),
    # tags
    (
        {"tags": {f"t{n}": "" for n in range(51)}},
        "tags has 51 tags, and Azure takes 50: remove some.",
    ),
    (
        {"tags": {"a/b": "x"}},
        (
            'tags has the tag name "a/b", which Azure refuses: use 1 to 128 characters without '
            "< > % & \\ ? /."
        ),
    ),
    (
        {"tags": {"Azure-team": "x"}},
        (
            'tags has the tag name "Azure-team", but azure, microsoft and windows are reserved as '
            "beginnings: choose another name."
        ),
    ),
    (
        {"tags": {"team": "x" * 257}},
        (
            'tags has a value of 257 characters for the tag "team": Azure takes 256 at most, so '
            "shorten it."
        ),
    ),
    (
        {"tags": {"team": "x", "Team": "y"}},
        'tags has the tags "team" and "Team", which are one to Azure: remove one.',
    ),
    # types and unknown keys
    (
        {"instances": "two"},
        'instances "two" must be a whole number: write digits only, without quotes.',
    ),
    (
        {"instances": "2.5"},
        'instances "2.5" must be a whole number: write digits only, without quotes.',
    ),
    (
        {"testEnvironment": "yes"},
        'testEnvironment "yes" must be true or false: write it without quotes.',
    ),
    (
        {"alertEmails": "team@contoso.com"},
        (
            'alertEmails "team@contoso.com" must be a list: write each item on a line of its own, '
            "after a hyphen."
        ),
    ),
    ({"dns": "azure"}, "dns must be an object: write `key: value` lines under it."),
    ({"tags": {"cost": 4}}, "tags.cost must be text: put the value in quotes."),
    (
        {"access": {"tokenKey": 123, "anonymous": True}},
        "access.tokenKey must be text: put the value in quotes.",
    ),
    (
        {"access": {"anonymous": "true"}},
        'access.anonymous "true" must be true or false: write it without quotes.',
    ),
    (
        {"dns": {"ttl": "300"}},
        'dns.ttl "300" must be a whole number: write digits only, without quotes.',
    ),
    ({"zones": [1]}, "zones[0] 1 must be text: put the value in quotes."),
    ({"zones": "[NaN]"}, "zones[0] NaN must be text: put the value in quotes."),
    ({"regoin": "westeurope"}, 'regoin is not a setting here: did you mean "region"?'),
    ({"vmsize": "Standard_D2s_v5"}, 'vmsize is not a setting here: did you mean "vmSize"?'),
    ({"password": "x"}, 'password is not a setting here: it belongs in "certificate".'),
    (
        {"tokenKey": TOKEN_KEY, "access": {}},
        'tokenKey is not a setting here: it belongs in "access".',
    ),
    (
        {"access": {"anonymous": True, "pfxFile": "x"}},
        'access.pfxFile is not a setting here: it belongs in "certificate".',
    ),
    (
        {"regoin": "westeurope", "region": ""},
        'regoin is not a setting here: did you mean "region"?',
    ),
    (
        {"distributionpoints": [{}], "region": "", "certificate": {}},
        'distributionpoints is not a setting here: did you mean "distributionPoints"?',
    ),
    ({"frobnicate": "x"}, "frobnicate is not a setting here: docs/settings.md lists them all."),
    ({"fqdn": "x"}, 'fqdn is not a setting here: did you mean "serviceFqdn"?'),
    ({"quota": "x"}, "quota is not a setting here: docs/settings.md lists them all."),
    (
        {"certificate": None, "certificate.pfxFile": "cdp1.pfx"},
        (
            "certificate.pfxFile is a part of certificate, and was set as a key of its own: "
            "remove it with `pulumi config rm 'certificate.pfxFile'`, and set it with "
            "`pulumi config set --path 'certificate.pfxFile'`."
        ),
    ),
    (
        {"dns": {"keyname": "x"}},
        'dns.keyname is not a setting here: did you mean "keyName"?',
    ),
    (
        {"contentPublishers": [{"objectId": GUID, "type": "User", "objectid": GUID}]},
        'contentPublishers[0].objectid is not a setting here: did you mean "objectId"?',
    ),
]


def name_of(told: str) -> str:
    """The name of a case, the same in each run: tests that run side by side go by it."""
    return told.replace(str(folder()), "")[:60]


@pytest.mark.parametrize(
    ("changed", "sentence"), [pytest.param(*case, id=name_of(case[1])) for case in BROKEN]
)
def test_a_broken_rule_is_told_in_one_sentence(changed: dict[str, Any], sentence: str) -> None:
    assert problems(**changed) == [sentence]


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("self-signed.pfx", "is self-signed"),
        ("wildcard.pfx", "is a wildcard certificate"),
        ("cdp2.pfx", 'does not cover "cdp1.contoso.com"'),
    ],
)
def test_what_the_certificate_says_is_put_after_its_key(file: str, told: str) -> None:
    fqdn = None if file == "wildcard.pfx" else "cdp1.contoso.com"
    (sentence,) = problems(certificate={"pfxFile": file, "password": PASSWORD}, serviceFqdn=fqdn)
    assert sentence.startswith(f'certificate.pfxFile "{file}" {told}')


def test_a_wrong_password_is_told_and_never_shown() -> None:
    (sentence,) = problems(certificate={"pfxFile": "cdp1.pfx", "password": "open sesame"})
    assert "password" in sentence
    assert "sesame" not in sentence


def test_a_private_key_among_the_trust_roots_is_refused_and_never_shown() -> None:
    (folder() / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nMIIsecret\n")
    (sentence,) = problems(access={"clientTrustRoots": ["key.pem"]})
    assert sentence == (
        'access.clientTrustRoots[0] "key.pem" holds a private key, which must not leave its CA: '
        "give certificates only."
    )


def test_a_trust_root_that_is_no_file_is_told_as_the_pem_file_that_it_should_be() -> None:
    (sentence,) = problems(access={"clientTrustRoots": ["."]})
    assert sentence == (
        f'access.clientTrustRoots[0] "." is a folder ({folder()}): name the PEM file in it.'
    )


def test_a_trust_root_that_cannot_be_judged_is_told_and_its_name_made_harmless() -> None:
    twice = [x509.UnrecognizedExtension(ExtensionOID.BASIC_CONSTRAINTS, b"\x05\x00")]
    for certificate, told in (
        (make_certificate("CA", ec_key(), extensions=twice), "cannot be read (one of the"),
        (make_certificate("\x1b[31mCA", ec_key(), ca=False), "CN=\\x1b[31mCA, which is not"),
    ):
        (folder() / "strange.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (sentence,) = problems(access={"clientTrustRoots": ["strange.pem"]})
        assert told in sentence


def test_a_certificate_that_is_no_authoritys_is_refused_as_a_trust_root() -> None:
    leaf = make_certificate("client", ec_key(), ca=False)
    (folder() / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (sentence,) = problems(access={"clientTrustRoots": ["leaf.pem"]})
    assert sentence == (
        'access.clientTrustRoots[0] "leaf.pem" holds the certificate CN=client, which is not a '
        "CA's: give those of the root and intermediate CAs."
    )


def test_more_trust_roots_than_a_vault_secret_holds_are_refused_beforehand() -> None:
    pems = [
        make_certificate(f"CA {number}", ec_key(), ca=True).public_bytes(Encoding.PEM)
        for number in range(50)
    ]
    (folder() / "many.pem").write_bytes(b"".join(pems))
    (sentence,) = problems(access={"clientTrustRoots": ["many.pem"]})
    assert sentence.startswith("access makes service settings of ")
    assert sentence.endswith(
        " bytes, and a vault secret holds 25000: name fewer certificates in "
        "access.clientTrustRoots."
    )


def test_a_misspelt_cloud_of_the_provider_is_told() -> None:
    assert problems(azure={"environment": "moon"}) == [
        (
            'azure-native:environment "moon" is not a cloud that this program knows: use "public", '
            '"usgovernment" or "china".'
        )
    ]


@pytest.mark.parametrize("value", ["", "[]", "{}", "null"])
def test_a_value_that_is_no_json_is_told_and_not_shown_where_it_may_be_secret(value: str) -> None:
    assert problems(access=value + "{") == [
        "access must be an object: write `key: value` lines under it."
    ]


def test_text_that_is_no_unicode_is_a_wrong_value_and_not_a_crash() -> None:
    assert problems(tags='{"team": "\\ud800"}') == [
        "tags must be an object: write `key: value` lines under it."
    ]


GOOD: list[dict[str, Any]] = [
    {"servicePort": 65534},
    {"storageQuotaGB": 1, "transferQuotaGB": 1, "transferPeriodDays": 90},
    {"warningPercent": 99, "criticalPercent": 100},
    {"instances": 16, "zones": ["3", "1"]},
    {"certificate": IN_VAULT, "serviceFqdn": "cdp1.contoso.com"},
    {"dns": RFC2136},
    {"dns": {**AZURE_DNS, "subscriptionId": GUID, "ttl": 60}},
    {"dns": {"mode": "manual", "zone": "contoso.com"}},
    {"resourceGroup": "Gruppe_(über).1", "useExistingResourceGroup": True},
    {"access": {"anonymous": True}},
    {"access": {"tokenKey": TOKEN_KEY, "previousTokenKey": TOKEN_KEY[::-1]}},
    {"logWorkspaceId": arm("Microsoft.OperationalInsights/workspaces")},
    {"readinessTimeoutMinutes": 0, "readinessIntervalSeconds": 600},
    {"tags": {"hidden-link": "", "cost centre": "é" * 256}},
    {"vmSize": "Standard_D2ps_v6", "automaticOsUpgrades": True},
    {"automaticOsUpgrades": False},
    {"sshPublicKey": openssh(rsa_key(2048))},
    {"sshPublicKey": openssh(ed25519.Ed25519PrivateKey.generate())},
    {
        "certificate": {"pfxFile": "wildcard.pfx", "password": PASSWORD},
        "serviceFqdn": "cdp1.contoso.com",
        "testEnvironment": True,
    },
]


# Names are cut where a new SSH key begins to differ from the last one.
@pytest.mark.parametrize("changed", [pytest.param(c, id=json.dumps(c)[:50]) for c in GOOD])
def test_what_keeps_the_rules_passes(changed: dict[str, Any]) -> None:
    assert loaded(**changed)
