#!/usr/bin/env python3
"""A link that can be slow and can be cut: cut_proxy.py HUB_PORT, then one line of control on standard input at a time.

    open          prints a port on which a link to the hub begins; links are numbered from 0
    cut LINK      ends the link's connections at once, as a modem does: nothing that waits in it arrives
    down LINK / up LINK      refuses connections / takes them again
    rate LINK N   N bytes a second each way from now on; 0 for no limit
    bytes LINK    prints the bytes carried so far, both ways together

Buffers are kept small, so that what waits here is little: a real link has no more than its round trip in it."""

import asyncio
import socket
import struct
import sys

PIECE = 2048


class Link:
    def __init__(self, hub_port):
        self.hub_port, self.rate, self.carried, self.is_down = hub_port, 0, 0, False
        self.sockets = set()

    async def serve(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.bind(("127.0.0.1", 0))
        await asyncio.start_server(self.accept, sock=sock, limit=PIECE)
        return sock.getsockname()[1]

    async def accept(self, reader, writer):
        if self.is_down:
            writer.transport.abort()
            return
        try:
            hub_sock = socket.socket()
            hub_sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            hub_sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(hub_sock, ("127.0.0.1", self.hub_port))
            hub_reader, hub_writer = await asyncio.open_connection(sock=hub_sock, limit=PIECE)
        except OSError:
            writer.transport.abort()
            return
        for w in (writer, hub_writer):
            w.transport.set_write_buffer_limits(high=PIECE)
            w.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.add(w)
        await asyncio.gather(self.carry(reader, hub_writer), self.carry(hub_reader, writer), return_exceptions=True)
        for w in (writer, hub_writer):
            self.sockets.discard(w)
            w.transport.abort()

    async def carry(self, reader, writer):
        free_at = 0.0
        try:
            while True:
                data = await reader.read(PIECE)
                if not data:
                    break
                if self.rate:
                    now = asyncio.get_running_loop().time()
                    free_at = max(free_at, now) + len(data) / self.rate
                    await asyncio.sleep(free_at - now)
                self.carried += len(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()

    def cut(self):
        for w in list(self.sockets):
            sock = w.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            w.transport.abort()


async def main():
    links = []
    loop = asyncio.get_running_loop()
    control = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin)
    while True:
        words = (await control.readline()).decode().split()
        if not words:
            return
        answer = "ok"
        if words[0] == "open":
            links.append(Link(int(sys.argv[1])))
            answer = await links[-1].serve()
        else:
            link = links[int(words[1])]
            if words[0] == "cut":
                link.cut()
            elif words[0] in ("down", "up"):
                link.is_down = words[0] == "down"
            elif words[0] == "rate":
                link.rate = int(words[2])
            else:
                answer = link.carried
        print(answer, flush=True)


asyncio.run(main())
