"""Every rule for certificates, with the words in which it is told.

A text goes on after "<key> <value>", has no full stop at its end, and says what is wrong and what
to do. What it quotes from a file is made printable first, so that no name in a certificate can
write to the operator's terminal what it likes. ``docs/certificates.md`` shows all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

EXPORT_AGAIN = (
    "export it again with its private key (Windows: Export-PfxCertificate; OpenSSL: "
    "`openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -certfile CHAIN.pem -out FILE.pfx`)"
)
_LONGEST_QUOTE = 200
_SHOWN_NAMES = 10


class CertificateError(Exception):
    """Why a certificate is refused; the text goes on after "<key> <value>".

    Attributes:
        problems: one text for each rule that is broken.
        rules: those rules, in the same order.
    """

    def __init__(self, *findings: tuple[Refusal, str]) -> None:
        self.rules = tuple(rule for rule, _ in findings)
        self.problems = tuple(text for _, text in findings)
        super().__init__("; it also ".join(self.problems))


class _Texts(Enum):
    def text(self, **values: object) -> str:
        """The rule's words with the values filled in, all of them printable."""
        shown = {
            name: listed(value) if isinstance(value, tuple) else printable(value)
            for name, value in values.items()
        }
        return str(self.value).format(**shown)


class Refusal(_Texts):
    """Rules that stop a deployment."""

    MISSING = "does not exist: there is no file {path}"
    FOLDER = "is a folder ({path}): name the {what} file in it"
    NOT_A_FILE = "is not a file but {kind} ({path}): name a {what} file"
    UNREADABLE = "cannot be read ({path}: {reason}): check path and permissions"
    TOO_LARGE = (
        "has {size} bytes, and at most {limit} of a {what} file are read: name the right one"
    )
    EMPTY = f"is empty: {EXPORT_AGAIN}"
    PEM = (
        "is a PEM text file ({kinds}), not a PFX: make one with `openssl pkcs12 -export -inkey "
        "KEY.pem -in CERTIFICATE.pem -certfile CHAIN.pem -out FILE.pfx`"
    )
    BARE_CERTIFICATE = f"is a certificate without its private key (CER), not a PFX: {EXPORT_AGAIN}"
    P7B = f"is a list of certificates without a private key (P7B), not a PFX: {EXPORT_AGAIN}"
    BARE_KEY = f"is a private key without its certificate, not a PFX: {EXPORT_AGAIN}"
    WEB_PAGE = (
        "is a web page (HTML), not a PFX, as when a download asks for a sign-in first: "
        "download it again"
    )
    BASE64 = (
        "is base64 text, not a PFX: decode it (`base64 -d`), or, for the service's certificate, "
        "give that text as certificate.pfxBase64"
    )
    OTHER_FILE = f"is {{kind}}, not a PFX: {EXPORT_AGAIN}"
    NOT_A_PFX = f"is not a PFX (PKCS#12), whatever its name says: {EXPORT_AGAIN}"
    CUT_SHORT = "is a PFX that was cut short: copy or download it again"
    DAMAGED = f"is a damaged PFX: copy it again, or {EXPORT_AGAIN}"
    TOO_MUCH_WORK = (
        "asks for {iterations} rounds of key derivation, and at most {limit} are done, since more "
        f"would take minutes: {EXPORT_AGAIN}"
    )
    TOO_SLOW = (
        "does not open within {seconds} seconds, as a file does not that asks for very many rounds "
        f"of key derivation inside: {EXPORT_AGAIN}"
    )
    SIGNED_PFX = (
        "is a PFX protected by a public key in place of a password, which cannot be opened here: "
        f"{EXPORT_AGAIN}"
    )
    UNKNOWN_ALGORITHM = (
        "is protected with {algorithm}, which cannot be read here (or the password is wrong): "
        f"{EXPORT_AGAIN}, with AES-256 or 3DES"
    )
    LOCKED = (
        "is protected by a password, and none is given: set the password beside it, as a secret"
    )
    NOT_OPENED = (
        "cannot be opened with the password given: check the password (letter case, a blank or "
        "line break at its end); if it is right, the file is damaged"
    )
    NO_PASSWORD_NEEDED = "has no password, and one is given: remove the password"  # noqa: S105
    TOO_MANY_CERTIFICATES = (
        "holds {count} certificates, and at most {limit} are looked at: export the one certificate "
        "with its own chain"
    )
    NO_KEY = (
        "has no private key: export it again with the private key, which must be marked as "
        "exportable"
    )
    NO_CERTIFICATE = f"holds a private key but no certificate: {EXPORT_AGAIN}"
    KEY_MISMATCH = (
        "holds a private key that belongs to none of its certificates ({names}): export the "
        "certificate together with its own key"
    )
    SEVERAL_KEYS = (
        "holds {count} certificates with private keys ({names}), of which not exactly one can be "
        "the service's: set serviceFqdn to a name that only one of them has, or export that one"
    )
    DAMAGED_CERTIFICATE = (
        "holds a certificate or key that cannot be read ({where}): get it issued again"
    )
    KEY_KIND = (
        "has a key that Windows clients cannot use ({kind}): get a certificate with an RSA key of "
        "2048 to 4096 bits, or an EC key on P-256 or P-384"
    )
    RSA_SIZE = (
        "has an RSA key of {bits} bits: get a certificate with an RSA key of 2048 to 4096 bits"
    )
    NOT_YET_VALID = (
        "is not valid before {date}, and it is {now} here: wait, or check this machine's clock"
    )
    EXPIRED = "expired on {date}, and it is {now} here: renew it"
    NO_SERVER_USAGE = (
        "is not for servers (its extended key usage: {usages}): get one with Server "
        "Authentication (1.3.6.1.5.5.7.3.1)"
    )
    NO_DIGITAL_SIGNATURE = (
        "has a key usage without Digital Signature, which TLS 1.3 needs: get one with it"
    )
    CA_CERTIFICATE = (
        "is the certificate of a certification authority ({subject}), not of a server: use a "
        "server certificate issued by it"
    )
    WEAK_SIGNATURE = (
        "is signed with {algorithm}: get it issued again with SHA-256, SHA-384 or SHA-512, since "
        "clients and the load balancer's probe refuse anything else"
    )
    WEAK_CHAIN = (
        'has an intermediate certificate "{subject}" signed with {algorithm}: get the chain with '
        "SHA-256, SHA-384 or SHA-512, since clients and the load balancer's probe refuse anything "
        "else"
    )
    WEAK_CHAIN_KEY = (
        'has an intermediate certificate "{subject}" with a key that is too weak or that clients '
        "do not know: get the chain with RSA keys of 2048 bits or more, or EC keys on P-256, P-384 "
        "or P-521"
    )
    CHAIN_NOT_CA = (
        'was issued by "{subject}", which is no certification authority (basic constraints): get '
        "a certificate from one"
    )
    SELF_SIGNED = (
        "is self-signed, which is for test environments only: use one issued by a certification "
        "authority, or set testEnvironment to true"
    )
    WILDCARD = (
        'covers "{fqdn}" by a wildcard only ({names}), which is for test environments only: use a '
        "certificate that names it, or set testEnvironment to true"
    )
    NOT_COVERED = (
        'does not cover "{fqdn}": it is for {names}, so set serviceFqdn to a name that it covers, '
        "or get a certificate for this one"
    )
    BAD_FQDN = 'cannot be compared with the service FQDN "{fqdn}", which {reason}'
    FQDN_NEEDED_WILDCARD = (
        "is a wildcard certificate ({names}), which names no host: set serviceFqdn to the host "
        "name that clients use (a wildcard also needs testEnvironment: true)"
    )
    FQDN_NEEDED = (
        'has the subject name "{common_name}", which its alternative names do not list: set '
        "serviceFqdn to the one to use of {names}"
    )
    FQDN_NEEDED_SHORT = (
        'has the name "{name}" without its domain: set serviceFqdn to another of its names '
        "({names}), or get a certificate for a whole host name such as cdp1.contoso.com"
    )
    FQDN_NEEDED_NO_SUBJECT = (
        "has no subject name to take the service FQDN from: set serviceFqdn to the one to use "
        "of {names}"
    )
    NO_NAME = (
        "has no DNS name at all, neither as alternative name nor as subject: get a certificate "
        "for the host name that clients use"
    )
    UNUSABLE_NAMES = (
        "has no name that clients accept ({names}): get a certificate for a whole host name of "
        "letters, digits and hyphens (an international one as its A-label, xn--...), with nothing "
        "before or after it"
    )
    PUBLISH_SETTINGS = (
        "is an Azure publish settings file (subscriptions: {subscriptions}), and Azure has retired "
        "the management certificate in it: sign in with `az login`, or with a service principal "
        "(`az ad sp create-for-rbac --role Owner --scopes /subscriptions/{first}`) or OIDC, then "
        "`pulumi config set azure-native:subscriptionId {first}`"
    )
    SIGN_IN_ALGORITHM = (
        "is protected with {algorithms}, which the Azure provider cannot read (it knows 3DES and "
        "RC2-40 with SHA-1 only): export it again (Windows: Export-PfxCertificate "
        "-CryptoAlgorithmOption TripleDES_SHA1; OpenSSL: `openssl pkcs12 -export -legacy`)"
    )
    SIGN_IN_ROUNDS = (
        "asks for {rounds} rounds of key derivation at once, and the Azure provider does "
        "{limit} at most: export it again with fewer (OpenSSL: `openssl pkcs12 -export -legacy "
        "-iter 2048`)"
    )
    SIGN_IN_SHAPE = (
        "is a PFX of {parts} parts {mac}, and the Azure provider reads those of two with a MAC "
        "only: export it again (Windows: Export-PfxCertificate -CryptoAlgorithmOption "
        "TripleDES_SHA1; OpenSSL: `openssl pkcs12 -export -legacy`)"
    )
    SIGN_IN_PEM = (
        "is a PEM file that the Azure provider cannot use ({reason}): give one certificate and its "
        "unencrypted key in it, and no password"
    )
    SIGN_IN_SEVERAL = (
        "holds {count} certificates with private keys ({names}), and the Azure provider takes one: "
        "export the one with which to sign in"
    )
    SIGN_IN_KEY = (
        "has no RSA key ({kind}), and the Azure provider signs in with RSA only: make another, "
        "as with `az ad sp create-for-rbac --create-cert`"
    )
    TOO_LARGE_FOR_VAULT = (
        "makes {size} bytes of PEM, and a Key Vault secret takes {limit}: get a shorter chain, or "
        "a smaller key"
    )

    def error(self, **values: object) -> CertificateError:
        """The exception that tells this one rule."""
        return CertificateError((self, self.text(**values)))


class Advice(_Texts):
    """Rules that only warn."""

    EXPIRES_SOON = "expires on {date}, in {days} days: renew it"
    NO_USAGE = (
        "has no extended key usage, so that some clients may refuse it: get one with Server "
        "Authentication"
    )
    ANY_USAGE = (
        "has the extended key usage Any in place of Server Authentication, so that some clients "
        "may refuse it: get one with Server Authentication"
    )
    NAME_IN_SUBJECT = (
        "has its name in the subject only, which browsers and newer clients do not look at: get "
        "one with a subject alternative name"
    )
    CHAIN_INCOMPLETE = (
        'has no certificate of its issuer "{issuer}" in it, so that clients may not trust it: '
        "export it with all certificates of its path"
    )
    CHAIN_NAMES = (
        'names "{named}" as its issuer (it, or one above it), and "{subject}" signed it, so that '
        "clients may not find the way: get the chain of the authority that issued it"
    )
    INTERMEDIATE_NOT_VALID = (
        'has an intermediate certificate "{subject}" that is not valid now ({begin} to {end}): '
        "export it with the renewed one"
    )


class Findings:
    """What was found in a certificate: broken rules and warnings, in the order of looking."""

    def __init__(self) -> None:
        self._refusals: list[tuple[Refusal, str]] = []
        self._advice: list[tuple[Advice, str]] = []

    def refuse(self, rule: Refusal, **values: object) -> None:
        """Notes a broken rule."""
        self._refusals.append((rule, rule.text(**values)))

    def advise(self, rule: Advice, **values: object) -> None:
        """Notes a warning."""
        self._advice.append((rule, rule.text(**values)))

    def judge_dates(
        self, begin: datetime, end: datetime, *, now: datetime, warning_days: int
    ) -> None:
        """Holds a time of validity against the clock."""
        if now < begin:
            self.refuse(Refusal.NOT_YET_VALID, date=begin, now=now)
        elif now > end:
            self.refuse(Refusal.EXPIRED, date=end, now=now)
        elif end - now <= timedelta(days=warning_days):
            self.advise(Advice.EXPIRES_SOON, date=end, days=(end - now).days)

    def stop_if_refused(self) -> None:
        """Raises CertificateError with all broken rules, if there are any."""
        if self._refusals:
            raise CertificateError(*self._refusals)

    @property
    def refusals(self) -> tuple[str, ...]:
        """The text of every broken rule."""
        return tuple(text for _, text in self._refusals)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The text of every warning."""
        return tuple(text for _, text in self._advice)


def listed(names: tuple[str, ...]) -> str:
    """Names for a message: the first of many, all of them printable."""
    shown = ", ".join(map(printable, names[:_SHOWN_NAMES]))
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "no name"


def printable(value: object) -> str:
    """Text for a terminal: escapes control characters and the like, and cuts what is too long."""
    text = f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)
    shown = "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text[: _LONGEST_QUOTE + 1]
    )
    return shown if len(text) <= _LONGEST_QUOTE else shown[:_LONGEST_QUOTE] + "…"
