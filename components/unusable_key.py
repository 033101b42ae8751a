"""An SSH public key that nobody can log in with, because it has no private half.

Azure demands an SSH key of a Linux machine without a password, but nobody is to log in to these.
A key pair whose private half is thrown away asks to be believed. This key need not be believed:

The modulus is the product of eight primes, each of which leaves remainder 1 when divided by the
public exponent e = 65537. So e divides the order of the multiplicative group, and no d exists with
``x**(e*d) == x`` for all x: there is no private exponent, whoever knows the primes. A single
signature, ``s**e == m``, exists only where m is an e-th power modulo all eight primes, which one
number in 65537**8 (more than 2**127) is. And the primes come from the published digests of a
sentence, so that they were not chosen for another purpose.

The sentence is "Nobody logs in to an instance of a cloud distribution point.", the digests are
SHA-256, the encoding is that of RFC 4253, section 6.6; ``tests/unit/test_unusable_key.py`` makes
the key anew from them. Azure takes RSA keys of 2,048 bits and more (Microsoft Learn, "Detailed
steps: Create and manage SSH keys for authentication to a Linux VM in Azure").
"""

from __future__ import annotations

UNUSABLE_SSH_KEY = (
    "ssh-rsa "
    "AAAAB3NzaC1yc2EAAAADAQABAAABAQD8IpAc+8KRClYx0S3jfAbw69M4NhBSllKAHuggOJp706xEDoV/tgJSq26S"
    "m4Ii15Bp14DWK1doPiUZGJc6oHQwql5Em4ZxhE+VB9z55tALhWuGFESE4ExwcBWC7OF6r74rCA6gzvXeTKgqZL7x"
    "skVLdrX/FSnwP2WsOQG4ui4LUPOJ5vdgpiaZVsqXc9z4RbX0MVAW3Lgoh5YsiXBEksIu5T4IDQ4s9mw2oDGtvZ2Y"
    "2WYer5VEFH/H8Mo1hh+bDl8PePS6wTwbBdPBCZholvjXPEFWPxh/lVY3BPUFwKpk3V03Pfc/Fl9dV3wjgRYK60mM"
    "iHL/uJgtJxVaD8ZIlLfR"
    " nobody"
)
"""A line of an ``authorized_keys`` file."""
