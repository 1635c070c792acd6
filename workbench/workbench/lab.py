"""JupyterLab on the notebooks: ``workbench lab``, ``make lab`` and the browser tests.

The server listens on the loopback address alone, asks for a token that is new at every start, and
answers nothing without it. Its configuration, settings and workspace live in a temporary folder,
so that a start is the same on every machine and the user's own Jupyter is left as it is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import MissingExtraError, WorkbenchError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

HOST = "127.0.0.1"
FIRST_PORT = 8888
START = "notebooks/00_start.ipynb"
_PORT_RETRIES = 99
_START_SECONDS = 90.0  # a cold start on two busy cores was measured at 20 s
_STOP_SECONDS = 10.0

_SETTINGS: dict[str, dict[str, object]] = {
    # Windowing takes cells that are scrolled away out of the page, and widgets with them.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


@dataclass(frozen=True, slots=True)
class Lab:
    """A running JupyterLab: where it is and the token that it asks for."""

    port: int
    token: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """The server's address, without the token."""
        return f"http://{HOST}:{self.port}"

    def page(self, notebook: str) -> str:
        """Return the address that opens `notebook`, a path below the server's root folder."""
        return f"{self.url}/lab/tree/{notebook}?token={self.token}"


@contextlib.contextmanager
def start_lab(
    root: Path,
    *,
    port: int | None = None,
    browser_page: str | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> Iterator[Lab]:
    """Start JupyterLab on the folder `root`, wait until it answers, and stop it at the end.

    `port` None takes a free one, 8888 if it can; `browser_page` is a notebook below `root`
    to open in the user's browser; `settings` adds to or replaces plugin settings by plugin name.

    Raises
    ------
    WorkbenchError
        The port is taken, `root` is no folder, or the server ended or stayed silent.
    MissingExtraError
        JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingExtraError("workbench lab", "lab", "JupyterLab")
    if not root.is_dir():
        raise WorkbenchError(f"no folder {root}: JupyterLab needs an existing root folder")
    if port is not None:
        _check_port(port)
    token = secrets.token_hex(24)
    with tempfile.TemporaryDirectory(prefix="workbench-lab-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        environment = _environment(home, token, {**_SETTINGS, **(settings or {})})
        log = home / "server.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                _command(root, port, browser_page),
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield _wait_until_ready(process, token, home, log)
        finally:
            _stop(process)


def add_parser(commands: Any) -> None:
    """Add the ``lab`` command to `commands`, the parser's group of subcommands."""
    parser = commands.add_parser(
        "lab",
        help="open JupyterLab on the first tutorial",
        description="Start JupyterLab on the notebooks, on this machine only; Ctrl+C stops it.",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"port to listen on (default: free from {FIRST_PORT})"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run JupyterLab in the foreground until Ctrl+C or a termination signal."""
    root = notebook_root()
    signal.signal(signal.SIGTERM, _terminate)
    with (
        contextlib.suppress(KeyboardInterrupt),
        start_lab(root, port=args.port, browser_page=None if args.no_browser else START) as lab,
    ):
        _say(f"JupyterLab is ready: {lab.page(START)}")
        _say("Only this machine can reach it. Ctrl+C stops it.")
        code = lab.process.wait()
        raise WorkbenchError(f"JupyterLab ended by itself with code {code}: {_last_words(lab.log)}")
    _say("JupyterLab stopped.")
    return 0


def notebook_root() -> Path:
    """Return the folder that holds ``notebooks/``: the working folder, else the checkout.

    Raises
    ------
    WorkbenchError
        Neither holds the first tutorial.
    """
    places = [Path.cwd(), Path(__file__).resolve().parents[2]]
    for place in places:
        if (place / START).is_file():
            return place
    looked = " and ".join(str(place) for place in places)
    raise WorkbenchError(f"no {START} in {looked}; run `workbench lab` in a checkout of flashclump")


def _command(root: Path, port: int | None, browser_page: str | None) -> list[str]:
    options = [
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={FIRST_PORT if port is None else port}",
        f"--ServerApp.port_retries={_PORT_RETRIES if port is None else 0}",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.allow_unauthenticated_access=False",
        "--LabApp.expose_app_in_browser=True",
    ]
    if browser_page is None:
        options.append("--no-browser")
    else:
        options.append(f"--LabApp.default_url=/lab/tree/{browser_page}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    return [sys.executable, "-m", "jupyterlab", *options]


def _environment(
    home: Path, token: str, settings: Mapping[str, Mapping[str, object]]
) -> dict[str, str]:
    for plugin, values in settings.items():
        folder, name = plugin.rsplit("/", 1)
        path = home / "settings" / folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    return {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the user's folder
        "JUPYTER_TOKEN": token,  # by environment: other users can read a command line
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _wait_until_ready(process: subprocess.Popen[bytes], token: str, home: Path, log: Path) -> Lab:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        port = _port_of(process, home)
        if port is not None:
            lab = Lab(port, token, process, log)
            if _answers(lab):
                return lab
        if process.poll() is not None:
            raise WorkbenchError(f"JupyterLab did not start: {_last_words(log)}")
        time.sleep(0.1)
    raise WorkbenchError(f"JupyterLab was silent for {_START_SECONDS:.0f} s: {_last_words(log)}")


def _port_of(process: subprocess.Popen[bytes], home: Path) -> int | None:
    """Return the port that the server took, None while it has not written it down."""
    with contextlib.suppress(OSError, ValueError):
        text = (home / "runtime" / f"jpserver-{process.pid}.json").read_text(encoding="utf-8")
        return int(json.loads(text)["port"])
    return None


def _answers(lab: Lab) -> bool:
    request = urllib.request.Request(  # noqa: S310 - the address is ours, and http
        f"{lab.url}/api/status", headers={"Authorization": f"token {lab.token}"}
    )
    with contextlib.suppress(OSError, urllib.error.URLError):
        urllib.request.urlopen(request, timeout=2).close()  # noqa: S310
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its kernels, which are one process group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise WorkbenchError(f"--port {port}: expected 1 to 65535")
    if not _is_free(port):
        raise WorkbenchError(f"port {port} is taken; leave --port out to get a free one")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"


def _terminate(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is the command line
