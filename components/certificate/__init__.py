"""Certificates: what a PFX file holds, and every rule that it has to keep."""

from .pkcs12 import read_file
from .rules import CertificateError
from .service_certificate import LARGEST_SECRET, ServiceCertificate

__all__ = ["LARGEST_SECRET", "CertificateError", "ServiceCertificate", "read_file"]
