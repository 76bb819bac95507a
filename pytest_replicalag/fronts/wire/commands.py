"""The commands there are, and what each one needs before it runs.

One table names them all; the reference page of commands is made from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_replicalag.engines.describe import describe
from pytest_replicalag.engines.memory import commands as data
from pytest_replicalag.fronts.wire import authentication
from pytest_replicalag.fronts.wire.catalog import Catalog
from pytest_replicalag.fronts.wire.change_streams import ChangeStreams
from pytest_replicalag.fronts.wire.clients import Clients
from pytest_replicalag.fronts.wire.connection import Connection
from pytest_replicalag.fronts.wire.cursors import Cursors
from pytest_replicalag.fronts.wire.fail_points import FailPoints, Fault
from pytest_replicalag.fronts.wire.generic_fields import OWN_FIELDS, check_own_fields
from pytest_replicalag.fronts.wire.getmore import GetMore
from pytest_replicalag.fronts.wire.handshake import Handshake
from pytest_replicalag.fronts.wire.introductions import (
    check_awaiting,
    check_metadata,
    metadata_sent_again,
)
from pytest_replicalag.fronts.wire.kinds import BACKGROUND, HELLOS, opens_stream, writes_out
from pytest_replicalag.fronts.wire.outputs import Outputs
from pytest_replicalag.fronts.wire.protocol import RequestedCloseError
from pytest_replicalag.fronts.wire.reads import Reads, pause
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.session_commands import SessionCommands
from pytest_replicalag.fronts.wire.sessions import Sessions
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.fronts.wire.status import Status
from pytest_replicalag.fronts.wire.step_down import StepDown
from pytest_replicalag.fronts.wire.transactions import Transactions
from pytest_replicalag.fronts.wire.unknown import unknown_command
from pytest_replicalag.fronts.wire.writes import Writes
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Command", "Commands"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        run: Answers it; called with the lock held.
        summary: What it does here, for the reference.
        admin_only: Whether it runs on the database `admin` only.
        in_transaction: Whether a transaction may have it.
        has_fields: Whether the engine knows which fields it may have.
    """

    run: Callable[[Request], Reply | Awaitable[Reply]]
    summary: str
    admin_only: bool = False
    in_transaction: bool = False
    has_fields: bool = False

    @property
    def is_operation(self) -> bool:
        """Whether an application sends it to read or write."""
        return self.has_fields or (self.in_transaction and self.admin_only)


_ENDING_METHODS: Final = {
    "commitTransaction": "commit_transaction",
    "abortTransaction": "abort_transaction",
}

_TOUCHES_NO_SESSION: Final = (*HELLOS, "endSessions")


class Commands:
    """Runs commands.

    Args:
        simulated_set: The set as its endpoints show it.
        clients: Who has introduced themselves.
    """

    def __init__(self, simulated_set: SimulatedSet, clients: Clients) -> None:
        self._set = simulated_set
        self._clients = clients
        self._cursors = Cursors()
        self._sessions = Sessions()
        self._session_commands = SessionCommands(self._sessions, self._cursors)
        self._connections: set[int] = set()
        self._fail_points = FailPoints()
        self._handshake = Handshake(simulated_set)
        self._reads = Reads(simulated_set, self._cursors)
        self._writes = Writes(simulated_set, self._reads)
        self._outputs = Outputs(simulated_set, self._reads, self._writes)
        self._transactions = Transactions(simulated_set, self._writes, self._cursors)
        simulated_set.when_it_changes(self._sessions.start_anew)
        simulated_set.when_it_changes(self._fail_points.clear)
        status = Status(simulated_set)
        catalog = Catalog(simulated_set, self._reads)
        self._streams = ChangeStreams(simulated_set, self._reads, self._cursors)
        get_more = GetMore(self._cursors, self._streams)
        self.table: Mapping[str, Command] = {
            **self._data_commands(catalog, get_more),
            **self._commands_of_sessions(),
            **self._server_commands(status),
        }

    # -- the table -------------------------------------------------------------------------------

    def _data_commands(self, catalog: Catalog, get_more: GetMore) -> dict[str, Command]:
        def read(summary: str, *, in_transaction: bool = True) -> Command:
            return Command(
                run=self._reads.read,
                summary=summary,
                in_transaction=in_transaction,
                has_fields=True,
            )

        def write(summary: str, *, in_transaction: bool = True) -> Command:
            return Command(
                run=self._writes.write,
                summary=summary,
                in_transaction=in_transaction,
                has_fields=True,
            )

        def tell(summary: str, *, admin_only: bool = False) -> Command:
            return Command(
                run=catalog.tell, summary=summary, admin_only=admin_only, has_fields=True
            )

        return {
            "find": read("Documents that match, on the member that serves the read."),
            "aggregate": Command(
                run=self._aggregate,
                summary=(
                    "A pipeline; `$out` and `$merge` write on the primary what the member that "
                    "serves the read has; `$changeStream`."
                ),
                in_transaction=True,
                has_fields=True,
            ),
            "count": read("How many documents there are.", in_transaction=False),
            "distinct": read("The distinct values of a field."),
            "getMore": Command(
                run=get_more.get_more,
                summary="The next batch of a cursor, which keeps the data of its optime.",
                in_transaction=True,
            ),
            "killCursors": Command(
                run=get_more.kill_cursors, summary="Close cursors.", in_transaction=True
            ),
            "insert": write("Insert documents."),
            "update": write("Update or replace documents."),
            "delete": write("Delete documents."),
            "findAndModify": write("Update or delete one document and return it."),
            "findandmodify": write("The same, as older drivers spell it."),
            "create": write("Create a collection."),
            "createIndexes": write("Create indexes."),
            "dropIndexes": write("Drop indexes.", in_transaction=False),
            "drop": write("Drop a collection.", in_transaction=False),
            "dropDatabase": write("Drop a database.", in_transaction=False),
            "renameCollection": Command(
                run=self._writes.write,
                summary="Give a collection another name.",
                admin_only=True,
                has_fields=True,
            ),
            "collMod": write("Change a collection's options.", in_transaction=False),
            "listCollections": tell("The collections, on the primary."),
            "listIndexes": tell("The indexes of a collection, on the primary."),
            "listDatabases": tell("The databases, on the primary.", admin_only=True),
            "collStats": tell("Sizes and counts of a collection."),
            "collstats": tell("The same, as older drivers spell it."),
            "dbStats": tell("Sizes and counts of a database."),
            "dbstats": tell("The same, as older drivers spell it."),
            "dataSize": tell("The size of a collection."),
            "validate": tell("Always valid."),
        }

    def _commands_of_sessions(self) -> dict[str, Command]:
        sessions = self._session_commands
        return {
            "startSession": Command(run=sessions.start, summary="Start a logical session."),
            "endSessions": Command(
                run=sessions.end,
                summary="Let the snapshots of sessions go; what is under way goes on.",
            ),
            "killSessions": Command(
                run=sessions.kill,
                summary="Abort the transactions of sessions and close their cursors.",
            ),
            "killAllSessions": Command(
                run=sessions.kill_all, summary="Abort all transactions and close all cursors."
            ),
            "killAllSessionsByPattern": Command(
                run=sessions.kill_all,
                summary="Abort all transactions and close all cursors, whatever the pattern.",
            ),
            "refreshSessions": Command(
                run=self._handshake.ping, summary="Nothing: sessions do not expire here."
            ),
            "commitTransaction": Command(
                run=self._transactions.commit,
                summary="Commit a transaction: one oplog entry.",
                admin_only=True,
                in_transaction=True,
            ),
            "abortTransaction": Command(
                run=self._transactions.abort,
                summary="Abort a transaction; nothing of it stays.",
                admin_only=True,
                in_transaction=True,
            ),
        }

    def _server_commands(self, status: Status) -> dict[str, Command]:
        shake = self._handshake
        hello = Command(run=self._hello, summary="The set as this member shows it.")
        authenticate = Command(
            run=authentication.log_in,
            summary="Refused: there are no users.",
        )
        return {
            "configureFailPoint": Command(
                run=self._fail_points.configure,
                summary="Let commands fail, as drivers' test suites do: `failCommand`.",
                admin_only=True,
            ),
            "hello": hello,
            "isMaster": hello,
            "ismaster": hello,
            "ping": Command(run=shake.ping, summary="An answer."),
            "buildInfo": Command(run=shake.build_info, summary="Version and limits."),
            "buildinfo": Command(
                run=shake.build_info, summary="The same, as older drivers spell it."
            ),
            "getParameter": Command(
                run=shake.get_parameter, summary="A few server parameters.", admin_only=True
            ),
            "getCmdLineOpts": Command(
                run=shake.get_command_line, summary="Set name and port.", admin_only=True
            ),
            "hostInfo": Command(run=shake.host_info, summary="The machine.", admin_only=True),
            "whatsmyuri": Command(run=shake.whats_my_uri, summary="The driver's address."),
            "connectionStatus": Command(
                run=shake.connection_status, summary="Nobody is logged in."
            ),
            "saslStart": authenticate,
            "saslContinue": Command(
                run=authentication.continue_conversation, summary="Refused: there are no users."
            ),
            "authenticate": authenticate,
            "getnonce": Command(run=shake.nonce, summary="A number, for a handshake of old."),
            "usersInfo": Command(run=shake.no_users, summary="Nobody."),
            "rolesInfo": Command(run=shake.no_roles, summary="No roles."),
            "logout": Command(run=shake.ping, summary="Nothing: nobody is logged in."),
            "serverStatus": Command(run=status.server_status, summary="A part of the status."),
            "replSetGetStatus": Command(
                run=status.replica_set_status,
                summary="The members and their optimes.",
                admin_only=True,
            ),
            "replSetStepDown": Command(
                run=StepDown(self._set).step_down,
                summary="Let the primary step down, and another member be elected.",
                admin_only=True,
            ),
            "replSetGetConfig": Command(
                run=status.replica_set_config,
                summary="The set's configuration.",
                admin_only=True,
            ),
        }

    # -- running one -----------------------------------------------------------------------------

    def run(self, request: Request) -> Reply | Awaitable[Reply]:
        """Run a command.

        Raises:
            OperationFailure: There is no such command, or it may not run here.
        """
        self._connections.add(request.connection.number)
        if request.name not in BACKGROUND:
            self._streams.somebody_asked()
        command = self.table.get(request.name)
        if command is None:
            raise unknown_command(request.name)
        if command.admin_only and request.database != "admin":
            raise operation_failure(
                13,
                "Unauthorized",
                f"{request.name} may only be run against the admin database.",
            )
        fault = self._fail_points.fault(request)
        if fault is None:
            return self._run(request, command)
        if fault.wait_s:
            return self._run_later(request, command, fault)
        return self._run_faulty(request, command, fault)

    async def _run_later(self, request: Request, command: Command, fault: Fault) -> Reply:
        await pause(fault.wait_s)
        with self._set.governor.lock:
            request.running = self._set.running()
            reply = self._run_faulty(request, command, fault)
        return reply if isinstance(reply, Mapping) else await reply

    def _run_faulty(
        self, request: Request, command: Command, fault: Fault
    ) -> Reply | Awaitable[Reply]:
        if fault.closes and not fault.applies:
            raise RequestedCloseError("a fail point closes it")
        if fault.error is not None:
            raise fault.error
        reply = self._run(request, command)
        is_replayed = isinstance(reply, Mapping) and "retriedStmtIds" in reply
        if fault.closes and not is_replayed:  # what is not applied again passes no fail point
            raise RequestedCloseError("a fail point closes it, now that the write is applied")
        return fault.changed(reply) if isinstance(reply, Mapping) else _changed(reply, fault)

    def _run(self, request: Request, command: Command) -> Reply | Awaitable[Reply]:
        if "lsid" in request.command and request.name not in _TOUCHES_NO_SESSION:
            self._enter_session(request)
        if request.in_transaction:
            return self._transactions.run(
                request,
                lambda request: self._run_checked(request, command),
                allowed=command.in_transaction,
            )
        return self._run_checked(request, command)

    def _run_checked(self, request: Request, command: Command) -> Reply | Awaitable[Reply]:
        if command.has_fields:
            data.check_fields(request.name, request.command)
        elif request.name in OWN_FIELDS:
            check_own_fields(request.name, request.command)
        if request.running.failovers.is_possible and command.is_operation:
            request.running.failovers.before(_method(request), request.by())
            if not request.member.is_up:
                raise RequestedCloseError("the member has crashed")
        return command.run(request)

    def _enter_session(self, request: Request) -> None:
        request.session = session = self._sessions.get(request.command["lsid"])
        sent = request.command.get("readConcern") or {}
        is_explicit = request.is_session_explicit
        if is_explicit is None:
            # Drivers send these in sessions that the application has started only.
            is_explicit = request.in_transaction or bool(
                {"afterClusterTime", "atClusterTime"} & sent.keys()
            )
        if is_explicit:
            session.number = session.number or request.running.new_session()
            request.session_number = session.number

    def _aggregate(self, request: Request) -> Reply | Awaitable[Reply]:
        if opens_stream(request.command):
            return self._streams.open(request)
        self._session_commands.list_in_place(request)
        if writes_out(request):
            return self._outputs.aggregate(request)
        return self._reads.read(request)

    def _hello(self, request: Request) -> Reply:
        connection, command = request.connection, request.command
        if "client" in command:
            if connection.has_greeted:
                raise metadata_sent_again()
            check_metadata(command["client"])
            self._clients.introduced(connection, command["client"])
        connection.has_greeted = True
        check_awaiting(request.name, command)
        return self._handshake.hello(request)

    def ended(self, connection: Connection) -> None:
        """A connection is gone; with the last one goes whatever clients have left open."""
        self._connections.discard(connection.number)
        if not self._connections:
            self._cursors.close_all()
            self._sessions.abort_all()


def _method(request: Request) -> str:
    """The method of a driver that sends a command, such as `insert_one`."""
    if request.name in _ENDING_METHODS:
        return _ENDING_METHODS[request.name]
    return describe(request.name, request.command)[0]


async def _changed(reply: Awaitable[Reply], fault: Fault) -> Reply:
    return fault.changed(await reply)
