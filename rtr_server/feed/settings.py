"""Settings: the part of the configuration that says where the data come from, as the loader is told it."""

from __future__ import annotations

import msgspec

from rtr_server.config import Config
from rtr_server.config.sources import Guard, Policy, Slurm, Source


class Settings(msgspec.Struct, frozen=True):
    """What the loader is told about the feed."""

    source: tuple[Source, ...]
    policy: Policy = Policy()
    slurm: Slurm = Slurm()
    guard: Guard = Guard()

    @classmethod
    def of(cls, config: Config) -> Settings:
        """The part of the daemon's configuration.

        >>> Settings.of(Config()).source
        ()
        """
        return cls(config.source, config.policy, config.slurm, config.guard)
