"""The only place that selects adapters: opens them for a process, and sets up what they need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiobotocore.session import get_session

from shared.accounts import Role, User
from shared.adapters.argon2 import Argon2Passwords
from shared.adapters.aws import client_options
from shared.adapters.postgres.accounts import PostgresAccountStore
from shared.adapters.postgres.connection import open_pool
from shared.adapters.postgres.documents import PostgresDocumentStore
from shared.adapters.postgres.feed import PostgresFeed
from shared.adapters.postgres.idempotency import PostgresIdempotencyStore
from shared.adapters.s3 import S3BlobStore
from shared.adapters.sqs import SQSJobQueue
from shared.clock import utc_now, uuid7
from shared.ports import AccountStore, BlobStore, DocumentStore, Feed, IdempotencyStore, JobQueue
from shared.settings import Settings

_POOL_SIZE = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Backends:
    """Everything behind the ports, opened once for a process."""

    blobs: BlobStore
    queue: JobQueue
    documents: DocumentStore
    feed: Feed
    idempotency: IdempotencyStore
    accounts: AccountStore

    async def ping(self) -> None:
        """Raise BackendUnavailableError unless all of them answer."""
        for backend in (self.documents, self.blobs, self.queue):
            await backend.ping()


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(settings.database_url.get_secret_value(), size=_POOL_SIZE + settings.concurrency)
        )
        yield Backends(
            blobs=await stack.enter_async_context(_blobs(settings)),
            queue=await stack.enter_async_context(_queue(settings)),
            documents=PostgresDocumentStore(pool=pool),
            feed=PostgresFeed(pool=pool),
            idempotency=PostgresIdempotencyStore(pool=pool),
            accounts=PostgresAccountStore(pool=pool),
        )


async def provision(settings: Settings) -> None:
    """Create what is missing of bucket, queue, dead-letter queue and first admin.

    A queue that had to be created has lost whatever it held: every document that waits for a message gets a new one.
    """
    async with _blobs(settings) as blobs, _queue(settings) as queue:
        await blobs.create(region=settings.aws_region)
        created = await queue.create()
    async with open_backends(settings) as backends:
        if created:
            await backends.documents.hasten(now=utc_now())
        await _add_first_admin(settings, backends.accounts)


async def _add_first_admin(settings: Settings, accounts: AccountStore) -> None:
    if settings.username is None or settings.password is None or await accounts.has_users():
        return
    passwords = Argon2Passwords()
    admin = User(
        id=uuid7(),
        name=settings.username,
        password_hash=await passwords.hash(settings.password.get_secret_value()),
        role=Role.ADMIN,
        created_at=utc_now(),
    )
    await accounts.add_user(admin)


def upgrade_database(settings: Settings) -> None:
    """Bring the schema to the newest version. Raises BackendUnavailableError."""
    # Alembic and SQLAlchemy are needed for this alone, and not installed with the services.
    from shared.adapters.postgres.schema import upgrade  # noqa: PLC0415

    upgrade(settings.database_url.get_secret_value())


@asynccontextmanager
async def _blobs(settings: Settings) -> AsyncIterator[S3BlobStore]:
    async with get_session().create_client("s3", **client_options(settings)) as client:
        yield S3BlobStore(client=client, bucket=settings.bucket)


@asynccontextmanager
async def _queue(settings: Settings) -> AsyncIterator[SQSJobQueue]:
    async with get_session().create_client("sqs", **client_options(settings)) as client:
        yield SQSJobQueue(
            client=client, name=settings.queue_name, order=settings.queue_order, lanes=settings.lanes_per_owner
        )
