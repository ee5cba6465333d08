"""From a configuration to a network. A family is a file in ``gan_core/networks``.

It is found by name and imported when it is asked for, so nothing lists families, and nothing else changes with one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from torch import nn

from gan_core.core.network_config import NetworkConfig
from gan_core.runtime.errors import InputError

NETWORKS = "gan_core.networks"


def files_of(package: str) -> list[str]:
    """The names of the files of a package."""
    found = find_spec(package)
    assert found is not None
    folders = found.submodule_search_locations or []
    return sorted(p.stem for folder in folders for p in Path(folder).glob("[a-z]*.py"))


def imported(package: str, name: str, what: str) -> ModuleType:
    """A file of a package.

    Raises:
        InputError: there is none of this name.
    """
    if name not in files_of(package):
        raise InputError(f"{what} '{name}' is not one of {', '.join(files_of(package))}")
    return import_module(f"{package}.{name}")


def network_class(network: str) -> type[nn.Module]:
    """The class of ``<family>.<role>``.

    Raises:
        InputError: there is no such family, or it has no such role.
    """
    family, _, role = network.partition(".")
    module = imported(NETWORKS, family, "network family")
    roles: Mapping[str, object] = getattr(module, "CAPABILITIES", {})
    if role not in roles:
        raise InputError(f"network family '{family}' has no '{role}', only {', '.join(roles)}")
    found: type[nn.Module] = getattr(module, role.title())
    return found


def build_network(config: NetworkConfig) -> nn.Module:
    """A network with fresh weights from torch's current seed.

    Raises:
        InputError: no such network, or it cannot be built for samples of this shape.
    """
    return network_class(config.network)(config)
