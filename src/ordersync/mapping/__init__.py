"""From a platform's payload to the canonical order, by a mapping file. Pure: text and payload in, order out."""

from ordersync.mapping.normalise import Mapping, Profile, ShapeFn, decode, encode, load_mapping

__all__ = ["Mapping", "Profile", "ShapeFn", "decode", "encode", "load_mapping"]
