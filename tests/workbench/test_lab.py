"""The server that `workbench lab` starts: reachable from here alone, and with its token alone."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from workbench.errors import WorkbenchError
from workbench.lab import START, notebook_root, start_lab

REPOSITORY = Path(__file__).resolve().parents[2]


def status(port: int, path: str, token: str | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"token {token}"} if token else {}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse().status
    connection.close()
    return answer


def test_answers_with_its_token_alone_and_ends_with_its_block(tmp_path: Path) -> None:
    with start_lab(tmp_path) as lab:
        assert status(lab.port, "/api/contents", lab.token) == 200
        assert status(lab.port, "/api/contents") == 403
        assert status(lab.port, "/api/contents", "0" * 48) == 403
        assert status(lab.port, "/lab") in (302, 403)  # to the login page, or refused
        assert status(lab.port, "/lab", lab.token) == 200
        assert lab.token in lab.page(START)
        assert listening_addresses(lab.port) == {"127.0.0.1"}
        process = lab.process
    assert process.poll() is not None
    try:  # the port is free, or by now another server's, which does not know the token
        answer = status(lab.port, "/api/contents", lab.token)
    except ConnectionRefusedError:
        return
    assert answer == 403


def listening_addresses(port: int) -> set[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {
        socket.inet_ntoa(bytes.fromhex(address)[::-1])
        for address, hexadecimal in listening
        if int(hexadecimal, 16) == port
    }


def test_two_started_at_once_get_ports_of_their_own(tmp_path: Path) -> None:
    def port_of_one(_: int) -> int:
        with start_lab(tmp_path) as lab:
            both_are_up.wait(timeout=60)
            assert status(lab.port, "/api/contents", lab.token) == 200
            return lab.port

    both_are_up = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(port_of_one, range(2)))) == 2


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(WorkbenchError, match=f"port {port} is taken"),
            start_lab(tmp_path, port=port),
        ):
            pass


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_an_impossible_port_is_named(tmp_path: Path, port: int) -> None:
    with pytest.raises(WorkbenchError, match="expected 1 to 65535"), start_lab(tmp_path, port=port):
        pass


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no folder"), start_lab(tmp_path / "nowhere"):
        pass


def test_the_root_holds_the_first_tutorial() -> None:
    assert (notebook_root() / START).is_file()


def test_the_command_prints_the_address_and_stops_on_a_signal() -> None:
    command = [sys.executable, "-m", "workbench.cli", "lab", "--no-browser"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"/lab/tree/{START}?token=" in line, line
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        assert status(port, "/api/status") == 403
        os.kill(process.pid, signal.SIGTERM)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 0, complaint
    with pytest.raises(ConnectionRefusedError):
        status(port, "/")
