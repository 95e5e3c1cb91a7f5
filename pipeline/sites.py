"""The site files of ``[sites]``, read once at start."""

from __future__ import annotations

from pipeline.errors import SettingsError
from pipeline.settings import Settings
from schemas.topology import Topology, TopologyError

__all__ = ["topologies"]


def topologies(settings: Settings) -> dict[str, Topology]:
    """
    Read every site file of ``[sites]``, by site id.

    Raises
    ------
    SettingsError
        No folder, no file in it, a file that cannot be used, or a site that stands twice.
    """
    folder = settings.sites.path
    files = sorted(folder.glob("*.toml"))
    if not files:
        msg = f"sites.path {folder} holds no *.toml; put one topology file per site there"
        raise SettingsError(msg)
    sites: dict[str, Topology] = {}
    for file in files:
        try:
            topology = Topology.load(file)
        except TopologyError as error:
            raise SettingsError(str(error)) from error
        if topology.site.id in sites:
            msg = f"{file}: site {topology.site.id} has a file already; one file per site"
            raise SettingsError(msg)
        sites[topology.site.id] = topology
    return sites
