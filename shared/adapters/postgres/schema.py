"""The schema's upgrade, for `docrelay db upgrade` and everything that sets a database up."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from shared import log
from shared.adapters.postgres.connection import sound_url
from shared.errors import BackendUnavailableError, ConfigurationError

_log = log.get(__name__)

# Any constant will do: two upgrades at once must wait for each other.
_UPGRADE_LOCK = 0x646F6372
_LOCK_SECONDS = 5.0


def upgrade(url: str) -> None:
    """Bring the database to the newest schema; does nothing when it is there, or is that of a later version.

    Raises BackendUnavailableError, and ConfigurationError for what is no URL or a user who may not do this.
    """
    address = sound_url(url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
            # A change of a table waits for whoever reads it, a backup too, and everybody else waits behind it.
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
            config.attributes["connection"] = connection
            if _is_ours(connection, config):
                command.upgrade(config, "head")
    except OperationalError as exc:
        if isinstance(exc.orig, psycopg.errors.LockNotAvailable):
            raise BackendUnavailableError(
                "A backup or a long query holds a table. Nothing was changed: try again when it has ended."
            ) from exc
        raise BackendUnavailableError(f"PostgreSQL did not answer: {str(exc.orig).strip()}") from exc
    except ProgrammingError as exc:
        if not isinstance(exc.orig, psycopg.errors.InsufficientPrivilege):
            raise
        denied = exc.orig.diag.message_primary
        raise ConfigurationError(f"The user of DOCRELAY_DATABASE_URL may not change the schema: {denied}.") from exc


def _is_ours(connection: Connection, config: Config) -> bool:
    """Whether the schema is one that this version knows. A later one has more than this version uses."""
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    later = set(MigrationContext.configure(connection).get_current_heads()) - known
    for revision in later:
        _log.warning("schema.later_version", revision=revision)
    return not later
