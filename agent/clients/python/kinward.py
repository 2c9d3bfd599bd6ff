"""A client of kinward-agent's local socket.

    import kinward

    with kinward.Agent() as agent:
        reply = agent.send("agency-b", content)          # kinward.v1.content_pb2.Content
        print(reply.message_id.hex())

    with kinward.Agent() as agent, kinward.Agent() as second:
        for item in agent.subscribe():                   # every item, again until it is acknowledged
            store(item)
            second.ack([item.message_id])

Needs Python 3.9 or later and the `protobuf` package (python3-protobuf). The message classes are made by protoc, once,
into a folder on sys.path or beside this file:

    protoc --proto_path=proto --python_out=agent/clients/python proto/kinward/v1/*.proto

The socket is the one in the environment's KINWARD_SOCKET, else /run/kinward/agent.sock. Content is personal: do not log
it. One Agent serves one thread at a time.
"""

import os
import socket
import struct
import sys
import time

# protoc puts its modules into a package that is named as this file is; with a path of its own this module is that
# package, and `from kinward.v1 import content_pb2` finds them.
__path__ = [os.path.join(folder, "kinward") for folder in [os.path.dirname(os.path.abspath(__file__)), *sys.path]
            if os.path.isdir(os.path.join(folder, "kinward", "v1"))]

try:
    from kinward.v1 import local_pb2
except ImportError as error:
    raise ImportError(
        "kinward.v1.local_pb2 cannot be loaded (%s). Install python3-protobuf and make the message classes: "
        "protoc --proto_path=proto --python_out=FOLDER proto/kinward/v1/*.proto, with FOLDER in PYTHONPATH" % error) from error

SOCKET_DEFAULT = "/run/kinward/agent.sock"
SOCKET_ENV = "KINWARD_SOCKET"
REQUEST_SIZE_MAX = 1024 * 1024
REPLY_SIZE_MAX = 64 * 1024 * 1024


class KinwardError(Exception):
    """Something went wrong; str() says what to do."""


class Unreachable(KinwardError):
    """There is no agent to talk to, or the connection was lost. A request that was under way may have been carried out:
    send it again with the same content.message_id, which the agent then recognises."""


class Timeout(KinwardError):
    """No answer in time; as Unreachable."""


class Refused(KinwardError):
    """The agent answered, and said no."""

    def __init__(self, error):
        super().__init__("%s: %s" % (error.field, error.text) if error.field else error.text)
        self.code = error.code
        self.field = error.field
        self.retryable = error.retryable


def socket_path():
    return os.environ.get(SOCKET_ENV) or SOCKET_DEFAULT


class Agent:
    def __init__(self, path=None, timeout=10.0):
        self.path = path or socket_path()
        self.timeout = timeout
        self._in = bytearray()
        self._last_id = 0
        self._subscribed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(self.path)
        except OSError as error:
            self.close()
            raise Unreachable(self._advice(error)) from error

    def _advice(self, error):
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return ("There is no agent socket at %s. Start kinward-agent (systemctl start kinward-agent), or name the "
                    "right path in %s." % (self.path, SOCKET_ENV))
        if isinstance(error, ConnectionRefusedError):
            return ("Nobody listens at %s: the agent has stopped. Start it (systemctl start kinward-agent) and look at "
                    "its log (journalctl -u kinward-agent)." % self.path)
        if isinstance(error, PermissionError):
            return ("You may not use %s. Run as the user that the agent's configuration names, or ask its administrator "
                    "to add you to the socket's group (kinward)." % self.path)
        return "Cannot connect to the agent at %s: %s." % (self.path, error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- requests, one method each; they return the body of the reply ------------------------------------------------

    def send(self, agency, content, thread_id=b"", lifetime_hours=0, message_class=0, case="", from_thread=b""):
        """Returns a SendReply once the message is durable in the agent's outbox. `case` is the case's id in your own system,
        `from_thread` the thread that brought what this passes on: without one of them a withdrawal of consent does not reach it
        unless the pseudonym is the same. Both stay with the agent."""
        request = local_pb2.LocalRequest()
        request.send.agency = agency
        request.send.content.CopyFrom(content)
        request.send.thread_id = thread_id
        request.send.lifetime_hours = lifetime_hours
        request.send.case = case
        request.send.from_thread = from_thread
        setattr(request.send, "class", message_class)  # a word of Python's
        return self.ask(request).sent

    def inbox(self, **list_request):
        """Yields every item of the inbox, page by page; `all=True` adds the acknowledged ones."""
        return self._pages("inbox", list_request)

    def outbox(self, **list_request):
        return self._pages("outbox", list_request)

    def dead_letters(self, **list_request):
        return self._pages("dead_letters", list_request)

    def show(self, message_id):
        request = local_pb2.LocalRequest()
        request.show.message_id = message_id
        return self.ask(request).item

    def ack(self, message_ids):
        """Returns how many were not acknowledged before."""
        request = local_pb2.LocalRequest()
        request.ack.message_ids.extend(message_ids)
        return self.ask(request).acked.count

    def register(self, local_id, registration):
        request = local_pb2.LocalRequest()
        request.register.local_id = local_id
        request.register.registration.CopyFrom(registration)
        return self.ask(request).registered

    def status(self):
        request = local_pb2.LocalRequest()
        request.status.SetInParent()
        return self.ask(request).status

    def keys(self):
        request = local_pb2.LocalRequest()
        request.keys.SetInParent()
        return self.ask(request).keys

    def subscribe(self, after=0):
        """Yields each new inbox item for as long as the connection lasts, those not acknowledged yet first. The
        connection is then taken: acknowledge over a second Agent."""
        request = local_pb2.LocalRequest()
        request.subscribe.after = after
        self._write(request, time.monotonic() + self.timeout)
        self._subscribed = True
        while True:
            reply = self._read_to(request.id, None)
            if reply.WhichOneof("body") == "item":
                yield reply.item

    # -- the socket --------------------------------------------------------------------------------------------------

    def ask(self, request):
        """Sends one LocalRequest and returns its LocalReply. Raises Refused, Unreachable or Timeout."""
        if self._subscribed:
            raise KinwardError("This connection is subscribed; make a second Agent to ask.")
        deadline = time.monotonic() + self.timeout
        self._write(request, deadline)
        return self._read_to(request.id, deadline)

    def _pages(self, name, list_request):
        while True:
            request = local_pb2.LocalRequest()
            getattr(request, name).CopyFrom(local_pb2.ListRequest(**list_request))
            page = self.ask(request).items
            yield from page.items
            if not page.next_after:
                return
            list_request = {**list_request, "after": page.next_after}

    def _write(self, request, deadline):
        if self._socket is None:
            raise Unreachable("The connection is closed; make a new Agent.")
        self._last_id += 1
        request.id = self._last_id
        body = request.SerializeToString()
        if len(body) > REQUEST_SIZE_MAX:
            raise KinwardError("The request has %d bytes, at most %d go; send less at once." % (len(body), REQUEST_SIZE_MAX))
        try:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            self._socket.sendall(struct.pack(">I", len(body)) + body)
        except OSError as error:  # half of it may be out
            self.close()
            raise Unreachable("The agent closed the connection (%s); try again." % error) from error

    def _read_to(self, request_id, deadline):
        while True:
            reply = self._read(deadline)
            refusal = reply.error if reply.WhichOneof("body") == "error" else None
            if reply.id == request_id or (reply.id == 0 and refusal is not None):
                if refusal is not None:
                    raise Refused(refusal)
                return reply
            if not 0 < reply.id < request_id:  # an earlier one timed out here, and is let go
                self.close()
                raise Unreachable("The agent answered a request that was not made; try again.")

    def _read(self, deadline):
        size = struct.unpack(">I", self._take(4, deadline, peek=True))[0]
        if size > REPLY_SIZE_MAX:
            self.close()
            raise KinwardError("The agent's reply has %d bytes; ask for fewer items." % size)
        reply = local_pb2.LocalReply()
        reply.ParseFromString(self._take(4 + size, deadline)[4:])
        return reply

    def _take(self, size, deadline, peek=False):
        """`size` bytes of the stream. A timeout takes nothing, so that the next call goes on where this one stopped."""
        while len(self._in) < size:
            if self._socket is None:
                raise Unreachable("The connection is closed; make a new Agent.")
            try:
                self._socket.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
                data = self._socket.recv(65536)
            except socket.timeout as error:
                raise Timeout("The agent did not answer in time. Look at its log (journalctl -u kinward-agent), then try "
                              "again.") from error
            except OSError as error:
                self.close()
                raise Unreachable("The agent closed the connection (%s); try again." % error) from error
            if not data:
                self.close()
                raise Unreachable("The agent closed the connection; it may be restarting. Try again.")
            self._in += data
        taken = bytes(self._in[:size])
        if not peek:
            del self._in[:size]
        return taken
