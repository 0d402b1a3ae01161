"""BLAKE2b, which addresses, identities and fingerprints are made with.

Not from hashlib: that loads OpenSSL's library first, which takes longer than any module of ours, and then gives this
very class, for OpenSSL's BLAKE2b takes no key and no other size.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:  # an interpreter that keeps it elsewhere
    from hashlib import blake2b

__all__ = ["blake2b"]
