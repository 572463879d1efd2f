"""The only place where the parts are joined: configuration, connectors, mappings, store."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module, resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ordersync import __version__
from ordersync.config import ALLOW_GROUPS, Config
from ordersync.connector import WRITE_CALLS, Connector, RawOrder, ShopSettings, capabilities, load
from ordersync.engine.shops import Normalised, Shop
from ordersync.errors import ConfigError, MappingError
from ordersync.model import stable_hash
from ordersync.store import Store
from ordersync.store.database import BUSY_TIMEOUT_S

if TYPE_CHECKING:
    from ordersync.mapping import Mapping, Profile, ShapeFn
    from ordersync.testing.sandbox import Sandbox

MAPPINGS_PACKAGE = "ordersync_mappings"


def open_store(config: Config, *, create: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
    """The configuration's store, made on first use. StoreError says what is wrong with the file."""
    return Store.open(config.store_url, create=create, busy_timeout_s=busy_timeout_s)


def build_shop(config: Config, name: str, *, offline: bool = False) -> Shop:
    """One configured shop, ready to be called; no network is touched.

    `offline`: for a command that reads the store alone. The mapping file, a fifth of a second to read and check, is
    then read when an order comes after all.
    """
    settings = config.settings.shops[name]
    connector = load(settings.connector)(name, settings)
    package = package_of(connector)
    text, file_name = _mapping_text(connector.mapping, package, mapping_folder(config))
    profile = profile_of(name, settings)

    @cache
    def mapping() -> Mapping:
        from ordersync.mapping import load_mapping

        return load_mapping(text, file_name, shapes_of(package))

    if not offline:
        mapping()
    return Shop(
        name=name,
        connector=connector,
        capabilities=allowed(capabilities(connector), settings),
        semantics=connector.semantics,
        normalise=lambda raw: normaliser(mapping(), profile)(raw),
        scrub=lambda raw: scrubber(mapping())(raw),
        mapping_version=mapping_version(text, package, profile),
    )


def allowed(can: frozenset[str], settings: ShopSettings) -> frozenset[str]:
    """What the connector has, without the writes that `allow` leaves out. Reads always stay."""
    if settings.allow is None:
        return can
    named = {call for word in settings.allow for call in ALLOW_GROUPS.get(word, (word,))}
    return frozenset(call for call in can if call not in WRITE_CALLS or call in named)


def profile_of(name: str, settings: ShopSettings) -> Profile:
    from ordersync.mapping import Profile

    return Profile(shop=name, books_only=frozenset(settings.books_only), exponents=settings.exponents)


def normaliser(mapping: Mapping, profile: Profile) -> Callable[[RawOrder], Normalised]:
    """Bytes of one order to the canonical order and the payload that may go to disk."""

    from ordersync.mapping import decode, encode

    def normalise(raw: RawOrder) -> Normalised:
        payload = decode(raw.payload)
        kept = encode(mapping.scrub(payload))
        return Normalised(order=mapping.normalise(payload, profile), raw=kept)

    return normalise


def normaliser_of(connector: Connector, settings: ShopSettings) -> Callable[[RawOrder], Normalised]:
    """The normaliser of one connector with the mapping it ships, as a shop of these settings has it."""
    from ordersync.mapping import load_mapping

    package = package_of(connector)
    text, file_name = _mapping_text(connector.mapping, package, None)
    mapping = load_mapping(text, file_name, shapes_of(package))
    return normaliser(mapping, profile_of(connector.platform, settings))


def scrubber(mapping: Mapping) -> Callable[[RawOrder], bytes | None]:
    """The payload of an order that could not be understood, without its secret fields; None when it is not JSON."""

    from ordersync.mapping import decode, encode

    def scrub(raw: RawOrder) -> bytes | None:
        try:
            return encode(mapping.scrub(decode(raw.payload)))
        except MappingError:
            return None

    return scrub


def mapping_version(text: str, package: str, profile: Profile) -> str:
    """Differs whenever the same payload could become another order: mapping, shape, profile or our own version."""
    shape = find_spec(f"{package}.shape")
    source = Path(shape.origin).read_text(encoding="utf-8") if shape and shape.origin else ""
    exponents = ",".join(f"{code}={digits}" for code, digits in sorted(profile.exponents.items()))
    return stable_hash(__version__, text, source, ",".join(sorted(profile.books_only)), exponents)[:16]


def mapping_folder(config: Config) -> Path | None:
    """The folder whose files replace shipped mappings of the same name."""
    if config.settings.mappings is None:
        return None
    folder = config.folder / config.settings.mappings
    if not folder.is_dir():
        raise ConfigError(
            f"mappings: {folder} is not a folder",
            next_step="correct mappings: in the configuration, or leave it out",
        )
    return folder


def package_of(connector: Connector | type[Connector]) -> str:
    """The package a connector lives in: its mapping, shapes and sandbox are looked up there."""
    kind = connector if isinstance(connector, type) else type(connector)
    module = import_module(kind.__module__)
    return module.__package__ or kind.__module__


def shapes_of(package: str) -> Callable[[str], ShapeFn] | None:
    """Look-up of the pure shape functions in a connector's `shape.py`; None when it has none."""
    if find_spec(f"{package}.shape") is None:
        return None

    def shape(name: str) -> ShapeFn:
        found: ShapeFn = getattr(import_module(f"{package}.shape"), name)
        return found

    return shape


def mappings_of(connector_name: str, override: Path | None = None) -> list[Mapping]:
    """A connector's mapping, then those of its dialects: `medusa`, `medusa_style`."""
    from ordersync.mapping import load_mapping

    kind = load(connector_name)
    package = package_of(kind)
    names = [kind.mapping]
    for folder in (resources.files(package), resources.files(MAPPINGS_PACKAGE)):
        stems = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
        names += [stem for stem in stems if stem.startswith(f"{kind.mapping}_") and stem not in names]
    texts = [_mapping_text(name, package, override) for name in names]
    return [load_mapping(text, file_name, shapes_of(package)) for text, file_name in texts]


def sandbox_of(connector_name: str) -> type[Sandbox]:
    """The loopback shop that lives beside a connector. ConfigError when it brings none."""
    from ordersync.testing.sandbox import Sandbox

    package = package_of(load(connector_name))
    if find_spec(f"{package}.sandbox") is not None:
        module = import_module(f"{package}.sandbox")
        for member in vars(module).values():
            if isinstance(member, type) and issubclass(member, Sandbox) and member.__module__ == module.__name__:
                return member
    raise ConfigError(f"the connector {connector_name!r} brings no sandbox", next_step="use another connector")


def _mapping_text(file_name: str, package: str, override: Path | None) -> tuple[str, str]:
    candidates: list[Any] = [] if override is None else [override]
    candidates += [resources.files(package), resources.files(MAPPINGS_PACKAGE)]
    for folder in candidates:
        found = folder / f"{file_name}.yaml"
        if found.is_file():
            return found.read_text(encoding="utf-8"), str(found) if folder is override else f"{file_name}.yaml"
    raise ConfigError(
        f"there is no mapping file {file_name}.yaml for this connector",
        next_step="install the connector again, or put the file into the mappings folder",
    )
