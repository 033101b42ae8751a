"""Settings: the stack's configuration as typed, checked values."""

from .loading import SettingsError, from_engine, load
from .model import (
    AccessSettings,
    CertificateSettings,
    ContentPublisher,
    DistributionPointSettings,
    DnsKeyAlgorithm,
    DnsMode,
    DnsSettings,
    PublisherType,
)

__all__ = [
    "AccessSettings",
    "CertificateSettings",
    "ContentPublisher",
    "DistributionPointSettings",
    "DnsKeyAlgorithm",
    "DnsMode",
    "DnsSettings",
    "PublisherType",
    "SettingsError",
    "from_engine",
    "load",
]
