"""The way to storage, which can be cut, blocked and slowed down."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

# Not in Python's own list of options.
SO_MAX_PACING_RATE = 47


class Relay:
    """Passes connections on to another address.

    Attributes:
        refuse: End each new connection at once, as a server that is down does.
        hold: Take connections and pass nothing on, as one that hangs does.
        delay: Seconds before anything that comes back is passed on.
        pace: Bytes a second for what comes back on each connection, 0 for no limit.
        connections: How many came.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._running = True
        self.refuse = False
        self.hold = False
        self.delay = 0.0
        self.pace = 0
        self.connections = 0

    @property
    def address(self) -> str:
        return "{}:{}".format(*self._listener.getsockname())

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._running = False
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End the connections that are open."""
        for connected in self._open:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()
        self._open.clear()

    def _accept(self) -> None:
        while self._running:
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                self.connections += 1
                if self.refuse:
                    client.close()
                    continue
                if self.pace:
                    client.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, self.pace)
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            server = socket.create_connection(self._target)
            self._open.append(server)
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            self._pass(server, client, True)

    def _pass(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(262144):
                while self.hold and self._running:
                    time.sleep(0.05)
                if back and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
