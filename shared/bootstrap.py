"""The only place that selects adapters: opens them for a process, and sets up what they need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from aiobotocore.session import AioSession, get_session

from shared.accounts import Role, User
from shared.adapters.argon2 import Argon2Passwords
from shared.adapters.aws import client_options
from shared.adapters.s3 import S3BlobStore
from shared.adapters.sqs import SQSJobQueue
from shared.clock import utc_now, uuid7
from shared.ports import (
    AccountStore,
    BlobStore,
    CallLedger,
    DocumentStore,
    Feed,
    FolderStore,
    IdempotencyStore,
    JobQueue,
    MessageSource,
    Retention,
)
from shared.settings import Settings

FirstAdmin = Literal["added", "not needed", "not named"]

_POOL_SIZE = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Backends:
    """Everything behind the ports, opened once for a process."""

    blobs: BlobStore
    queue: JobQueue
    dead_letters: MessageSource
    documents: DocumentStore
    folders: FolderStore
    feed: Feed
    idempotency: IdempotencyStore
    accounts: AccountStore
    ledger: CallLedger
    retention: Retention

    async def ping(self) -> None:
        """Raise BackendUnavailableError unless all of them answer."""
        for backend in (self.documents, self.blobs, self.queue):
            await backend.ping()


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    # One session for all clients: each session reads botocore's data files anew, for a tenth of a second.
    session = get_session()
    async with AsyncExitStack() as stack:
        blobs = await stack.enter_async_context(_blobs(settings, session))
        queue = await stack.enter_async_context(_queue(settings, session))
        open_store = _dynamodb if settings.store == "dynamodb" else _postgres
        yield await stack.enter_async_context(open_store(settings, session, blobs=blobs, queue=queue))


async def provision(settings: Settings) -> FirstAdmin:
    """Create what is missing of bucket, queue, dead-letter queue, DynamoDB table and first admin.

    Returns what became of the first admin. A queue that had to be created has lost whatever it held: every document
    that waits for a message gets a new one.
    """
    session = get_session()
    async with _blobs(settings, session) as blobs, _queue(settings, session) as queue:
        await blobs.create(region=settings.aws_region)
        created = await queue.create()
    if settings.store == "dynamodb":
        await _create_table(settings, session)
    async with open_backends(settings) as backends:
        if created:
            await backends.documents.hasten(now=utc_now())
        return await add_first_admin(settings, backends.accounts)


async def add_first_admin(settings: Settings, accounts: AccountStore) -> FirstAdmin:
    """Add the user of the settings as an admin when there is no user yet."""
    if await accounts.has_users():
        return "not needed"
    if settings.username is None or settings.password is None:
        return "not named"
    passwords = Argon2Passwords()
    admin = User(
        id=uuid7(),
        name=settings.username,
        password_hash=await passwords.hash(settings.password.get_secret_value()),
        role=Role.ADMIN,
        created_at=utc_now(),
    )
    await accounts.add_user(admin)
    return "added"


async def begin_anew(settings: Settings) -> int:
    """After the store was set back to an earlier time: what clients know of it counts no more. Returns the feeds."""
    async with open_backends(settings) as backends:
        return await backends.retention.begin_anew()


def upgrade_database(settings: Settings) -> None:
    """Bring PostgreSQL's schema to the newest version; another store has none. Raises BackendUnavailableError."""
    if settings.store != "postgres":
        return
    # Alembic and SQLAlchemy are needed for this alone, and not installed with the services.
    from shared.adapters.postgres.schema import upgrade  # noqa: PLC0415

    upgrade(settings.database_url.get_secret_value())


async def _create_table(settings: Settings, session: AioSession) -> None:
    from shared.adapters.dynamodb import schema, table  # noqa: PLC0415

    async with table.open_client(settings, session) as client:
        await schema.create(client, table=settings.table)


# Each store is imported when it is opened: a process with the one needs nothing of the other, not even its driver.


@asynccontextmanager
async def _postgres(
    settings: Settings, _session: AioSession, *, blobs: BlobStore, queue: SQSJobQueue
) -> AsyncIterator[Backends]:
    from shared.adapters.postgres.accounts import PostgresAccountStore  # noqa: PLC0415
    from shared.adapters.postgres.connection import open_pool  # noqa: PLC0415
    from shared.adapters.postgres.documents import PostgresDocumentStore  # noqa: PLC0415
    from shared.adapters.postgres.feed import PostgresFeed  # noqa: PLC0415
    from shared.adapters.postgres.folders import PostgresFolderStore  # noqa: PLC0415
    from shared.adapters.postgres.idempotency import PostgresIdempotencyStore  # noqa: PLC0415
    from shared.adapters.postgres.ledger import PostgresCallLedger  # noqa: PLC0415
    from shared.adapters.postgres.retention import PostgresRetention  # noqa: PLC0415

    url = settings.database_url.get_secret_value()
    async with open_pool(url, size=_POOL_SIZE + settings.concurrency) as pool:
        yield Backends(
            blobs=blobs,
            queue=queue,
            dead_letters=queue.dead_letters,
            documents=PostgresDocumentStore(pool=pool),
            folders=PostgresFolderStore(pool=pool),
            feed=PostgresFeed(pool=pool),
            idempotency=PostgresIdempotencyStore(pool=pool),
            accounts=PostgresAccountStore(pool=pool),
            ledger=PostgresCallLedger(pool=pool),
            retention=PostgresRetention(pool=pool),
        )


@asynccontextmanager
async def _dynamodb(
    settings: Settings, session: AioSession, *, blobs: BlobStore, queue: SQSJobQueue
) -> AsyncIterator[Backends]:
    from shared.adapters.dynamodb.accounts import DynamoDBAccountStore  # noqa: PLC0415
    from shared.adapters.dynamodb.documents import DynamoDBDocumentStore  # noqa: PLC0415
    from shared.adapters.dynamodb.feed import DynamoDBFeed  # noqa: PLC0415
    from shared.adapters.dynamodb.folders import DynamoDBFolderStore  # noqa: PLC0415
    from shared.adapters.dynamodb.idempotency import DynamoDBIdempotencyStore  # noqa: PLC0415
    from shared.adapters.dynamodb.ledger import DynamoDBCallLedger  # noqa: PLC0415
    from shared.adapters.dynamodb.retention import DynamoDBRetention  # noqa: PLC0415
    from shared.adapters.dynamodb.table import Table, open_client  # noqa: PLC0415

    async with open_client(settings, session) as client:
        table = Table(client=client, name=settings.table)
        yield Backends(
            blobs=blobs,
            queue=queue,
            dead_letters=queue.dead_letters,
            documents=DynamoDBDocumentStore(table=table),
            folders=DynamoDBFolderStore(table=table),
            feed=DynamoDBFeed(table=table, clock=utc_now),
            idempotency=DynamoDBIdempotencyStore(table=table, clock=utc_now),
            accounts=DynamoDBAccountStore(table=table),
            ledger=DynamoDBCallLedger(table=table),
            retention=DynamoDBRetention(table=table),
        )


@asynccontextmanager
async def _blobs(settings: Settings, session: AioSession) -> AsyncIterator[S3BlobStore]:
    async with AsyncExitStack() as stack:
        client = signer = await stack.enter_async_context(session.create_client("s3", **client_options(settings)))
        if settings.s3_public_url:
            public = settings.model_copy(update={"aws_endpoint_url": settings.s3_public_url})
            signer = await stack.enter_async_context(session.create_client("s3", **client_options(public)))
        yield S3BlobStore(client=client, signer=signer, bucket=settings.bucket)


@asynccontextmanager
async def _queue(settings: Settings, session: AioSession) -> AsyncIterator[SQSJobQueue]:
    async with session.create_client("sqs", **client_options(settings)) as client:
        yield SQSJobQueue(
            client=client,
            name=settings.queue_name,
            kind=settings.queue_kind,
            order=settings.queue_order,
            lanes=settings.lanes_per_owner,
        )
