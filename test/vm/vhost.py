# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an emulator and a virtio driver do, without either: the front end of a
vhost-user-blk socket, guest memory in a memfd, and split rings in it.

Nothing here is checked: those who lie to the server use it, too.
"""
import array
import collections
import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PATIENCE = 120  # seconds until a test gives up on the server

# Requests of the protocol.
GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM = 15, 16, 17
SET_VRING_ENABLE, GET_CONFIG, SET_CONFIG = 18, 24, 25
GET_INFLIGHT_FD, SET_INFLIGHT_FD = 31, 32
VERSION, REPLY, NEED_REPLY = 1, 4, 8

# Features, as bits.
RO, BLK_SIZE, FLUSH, CONFIG_WCE, MQ = 5, 6, 9, 11, 12
DISCARD, WRITE_ZEROES, INDIRECT, EVENT_IDX = 13, 14, 28, 29
PROTOCOL_FEATURES, VERSION_1 = 30, 32
P_MQ, P_REPLY_ACK, P_CONFIG, P_INFLIGHT = 0, 3, 9, 12
PROTOCOL = 1 << P_MQ | 1 << P_REPLY_ACK | 1 << P_CONFIG | 1 << P_INFLIGHT

# A disk's requests, and how they end.
T_IN, T_OUT, T_FLUSH, T_ID, T_DISCARD, T_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = 0, 1, 2
SECTOR = 512

# Flags of descriptors.
F_NEXT, F_WRITE, F_INDIRECT = 1, 2, 4

Region = collections.namedtuple('Region', 'guest size user offset')
Buffer = collections.namedtuple('Buffer', 'address length writable')


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f'waited too long: {what}')
        time.sleep(0.0005)


class Memory:
    """Two regions that are neighbours for the guest, and for nobody else. The
    space is given out from the front, and never taken back."""
    PART = 1 << 20

    def __init__(self):
        self.fd = os.memfd_create('guest', os.MFD_CLOEXEC)
        os.ftruncate(self.fd, 3 * self.PART)
        self.bytes = mmap.mmap(self.fd, 3 * self.PART)
        self.regions = [
            Region(0x100000, self.PART, 0x7f0000000000, 0),
            Region(0x200000, self.PART, 0x7e0000000000, 2 * self.PART)]
        self.seam = self.regions[1].guest
        self.next = self.regions[0].guest

    def close(self):
        self.bytes.close()
        os.close(self.fd)

    def allocate(self, size, align=64):
        place = (self.next + align - 1) // align * align
        self.next = place + size
        return place

    def pieces(self, guest, size):
        for region in self.regions:
            start = max(guest, region.guest)
            end = min(guest + size, region.guest + region.size)
            if start < end:
                yield region.offset + start - region.guest, end - start

    def read(self, guest, size):
        return b''.join(self.bytes[at:at + n]
                        for at, n in self.pieces(guest, size))

    def write(self, guest, content):
        for at, n in self.pieces(guest, len(content)):
            self.bytes[at:at + n] = content[:n]
            content = content[n:]

    def get(self, form, guest):
        return struct.unpack(form, self.read(guest, struct.calcsize(form)))[0]

    def put(self, form, guest, *values):
        self.write(guest, struct.pack(form, *values))

    def user(self, guest):
        """The same place in the address space of the emulator."""
        for region in self.regions:
            if region.guest <= guest < region.guest + region.size:
                return region.user + guest - region.guest
        return guest


class HungUp(Exception):
    pass


class Refused(Exception):
    pass


class FrontEnd:
    """One connection to the server."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def close(self):
        self.socket.close()

    def send_bytes(self, content, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array('i', fds))] if fds else []
        try:
            self.socket.sendmsg([content], ancillary)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUp from error

    def send(self, request, payload=b'', fds=(), flags=VERSION):
        header = struct.pack('<III', request, flags, len(payload))
        self.send_bytes(header + payload, fds)

    def receive_bytes(self, size):
        content = b''
        while len(content) < size:
            try:
                piece = self.socket.recv(size - len(content))
            except ConnectionResetError:
                piece = b''
            if not piece:
                raise HungUp
            content += piece
        return content

    def receive(self, request):
        """Returns the answer to request, and the descriptor with it or None."""
        try:
            header, ancillary, _, _ = self.socket.recvmsg(
                12, socket.CMSG_SPACE(4))
        except ConnectionResetError as error:
            raise HungUp from error
        if not header:
            raise HungUp
        header += self.receive_bytes(12 - len(header))
        answered, flags, size = struct.unpack('<III', header)
        assert (answered, flags) == (request, VERSION | REPLY), header
        fd = None
        for _, _, content in ancillary:
            fd = struct.unpack('i', content)[0]
        return self.receive_bytes(size), fd

    def ask(self, request, payload=b''):
        self.send(request, payload)
        return self.receive(request)[0]

    def ask_number(self, request):
        return struct.unpack('<Q', self.ask(request))[0]

    def tell(self, request, payload=b'', fds=()):
        """Sends what has no answer of its own, and hears if it was refused."""
        self.send(request, payload, fds, VERSION | NEED_REPLY)
        if struct.unpack('<Q', self.receive(request)[0])[0] != 0:
            raise Refused

    def expect_hang_up(self):
        try:
            assert self.socket.recv(1) == b'', 'an answer came'
        except ConnectionResetError:
            pass

    def begin(self, features):
        """Agrees on all of the protocol's features, and on these."""
        self.offered = self.ask_number(GET_FEATURES)
        self.send(SET_PROTOCOL_FEATURES, struct.pack('<Q', PROTOCOL))
        self.tell(SET_OWNER)
        self.tell(SET_FEATURES, struct.pack('<Q', features))

    def share(self, memory):
        self.tell(SET_MEM_TABLE, table_of(memory.regions),
                  [memory.fd] * len(memory.regions))

    def config(self, offset, size):
        content = self.ask(GET_CONFIG, struct.pack('<III', offset, size, 0) +
                           bytes(size))
        return content[12:]


def table_of(regions, count=None):
    return struct.pack('<II', len(regions) if count is None else count, 0) + \
        b''.join(struct.pack('<4Q', *region) for region in regions)


class Ring:
    """A split ring, and what a driver does with it."""

    def __init__(self, memory, size=16, event_idx=False, base=0):
        self.memory, self.size, self.event_idx = memory, size, event_idx
        self.desc = memory.allocate(16 * size)
        self.avail = memory.allocate(6 + 2 * size)
        self.used = memory.allocate(6 + 8 * size)
        self.kick_fd, self.call_fd, self.error_fd = (
            os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(3))
        self.base = self.next = self.seen = base
        self.free = list(range(size))
        self.memory.put('<H', self.avail + 2, base)
        self.memory.put('<H', self.used + 2, base)

    def close(self):
        for fd in (self.kick_fd, self.call_fd, self.error_fd):
            os.close(fd)

    def addresses(self, index):
        user = self.memory.user
        return struct.pack('<IIQQQQ', index, 0, user(self.desc),
                           user(self.used), user(self.avail), 0)

    def start(self, front, index=0):
        """All that the server must know. It may have served before."""
        self.index = index
        vring = struct.Struct('<II')
        front.tell(SET_VRING_NUM, vring.pack(index, self.size))
        front.tell(SET_VRING_BASE, vring.pack(index, self.base))
        front.tell(SET_VRING_ADDR, self.addresses(index))
        number = struct.pack('<Q', index)
        front.tell(SET_VRING_CALL, number, [self.call_fd])
        front.tell(SET_VRING_ERR, number, [self.error_fd])
        front.tell(SET_VRING_KICK, number, [self.kick_fd])
        front.tell(SET_VRING_ENABLE, vring.pack(index, 1))

    def stop(self, front):
        """Returns the index that the server would have looked at next."""
        answer = front.ask(GET_VRING_BASE, struct.pack('<II', self.index, 0))
        self.base = struct.unpack('<II', answer)[1]
        return self.base

    def put(self, number, address, length, flags, following=0):
        self.memory.put('<QIHH', self.desc + 16 * number, address, length,
                        flags, following)

    def chain(self, buffers):
        """Writes descriptors for the buffers. Returns the first one's number,
        and all of them."""
        numbers = [self.free.pop(0) for _ in buffers]
        for i, buffer in enumerate(buffers):
            last = i + 1 == len(buffers)
            self.put(numbers[i], buffer.address, buffer.length,
                     (F_WRITE if buffer.writable else 0) |
                     (0 if last else F_NEXT), 0 if last else numbers[i + 1])
        return numbers[0], numbers

    def indirect_chain(self, buffers):
        table = self.memory.allocate(16 * len(buffers))
        for i, buffer in enumerate(buffers):
            last = i + 1 == len(buffers)
            self.memory.put('<QIHH', table + 16 * i, buffer.address,
                            buffer.length,
                            (F_WRITE if buffer.writable else 0) |
                            (0 if last else F_NEXT), 0 if last else i + 1)
        number = self.free.pop(0)
        self.put(number, table, 16 * len(buffers), F_INDIRECT)
        return number, [number]

    def offer(self, head):
        """Puts a chain into the ring, and does not yet say so."""
        self.memory.put('<H', self.avail + 4 + 2 * (self.next % self.size),
                        head)
        self.next = (self.next + 1) % 65536

    def publish(self):
        """Shows the server what was offered. Whether it wants to be woken."""
        before = self.memory.get('<H', self.avail + 2)
        self.memory.put('<H', self.avail + 2, self.next)
        os.sched_yield()
        if not self.event_idx:
            return not self.memory.get('<H', self.used) & 1
        event = self.avail_event()
        return (self.next - event - 1) % 65536 < (self.next - before) % 65536

    def kick(self):
        os.eventfd_write(self.kick_fd, 1)

    def submit(self, head):
        self.offer(head)
        if self.publish():
            self.kick()

    def avail_event(self):
        return self.memory.get('<H', self.used + 4 + 8 * self.size)

    def want_notification_after(self, index):
        self.memory.put('<H', self.avail + 4 + 2 * self.size, index % 65536)

    def used_index(self):
        return self.memory.get('<H', self.used + 2)

    def reap(self):
        """Waits for one chain. Returns its head, and how much was written."""
        wait_until(lambda: self.used_index() != self.seen, 'a used chain')
        entry = self.used + 4 + 8 * (self.seen % self.size)
        self.seen = (self.seen + 1) % 65536
        return struct.unpack('<II', self.memory.read(entry, 8))

    def notifications(self):
        """How often the server has notified us since the last time."""
        try:
            return os.eventfd_read(self.call_fd)
        except BlockingIOError:
            return 0


class Request:
    """One of the disk's requests, in guest memory: a header, what goes out,
    room for what comes in, and a status."""

    def __init__(self, memory, kind, sector=0, out=b'', room=0, align=SECTOR):
        self.memory, self.room = memory, room
        self.header = memory.allocate(16)
        self.data = memory.allocate(max(len(out), room), align)
        self.status = memory.allocate(1)
        memory.put('<IIQ', self.header, kind, 0, sector)
        memory.write(self.data, out)
        memory.put('<B', self.status, 0xff)
        self.buffers = [Buffer(self.header, 16, False)]
        if out or room:
            self.buffers.append(Buffer(self.data, len(out) or room, room > 0))
        self.buffers.append(Buffer(self.status, 1, True))

    def submit(self, ring, indirect=False):
        make = ring.indirect_chain if indirect else ring.chain
        self.head, self.numbers = make(self.buffers)
        ring.submit(self.head)
        return self

    def result(self):
        return self.memory.get('<B', self.status)

    def came_in(self):
        return self.memory.read(self.data, self.room)


class Server:
    def __init__(self, program, folder, *options):
        self.path = os.path.join(folder, 'socket')
        self.log_path = os.path.join(folder, 'log')
        environment = dict(os.environ)
        environment.setdefault('UBSAN_OPTIONS', 'halt_on_error=1')
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(
                [program, '--socket', self.path, *options], env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.listens() or self.process.poll() is not None,
                   'the server to listen')
        if self.process.poll() is not None:
            raise RuntimeError(self.log())

    def listens(self):
        """The name of one that was killed is left."""
        try:
            FrontEnd(self.path).close()
            return True
        except OSError:
            return False

    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def alive(self):
        return self.process.poll() is None

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Returns the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return 'none: it did not end'


class Case(unittest.TestCase):
    """A server with an image of known bytes, for each test."""
    program, engine = None, 'threads'
    options = []
    image_size = 4 << 20
    log = ''

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='ioq-vhost.',
                                       dir=os.environ.get('TMPDIR', '/var/tmp'))
        self.addCleanup(shutil.rmtree, self.folder)
        self.image = os.path.join(self.folder, 'disk.img')
        self.content = os.urandom(self.image_size)
        with open(self.image, 'wb') as image:
            image.write(self.content)
        self.memory = Memory()
        self.addCleanup(self.memory.close)
        self.start_server()

    def tearDown(self):
        status = self.server.stop()
        self.log = self.server.log()
        self.assertEqual(status, 0, 'how the server ended')
        self.assertEqual(self.log.count(f'engine {self.engine}\n'), 1)
        self.assertNotIn('Sanitizer', self.log)
        self.assertNotIn('runtime error', self.log)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print(f'{self.id()}: the server said:\n{self.log}', flush=True)

    def start_server(self):
        self.server = Server(self.program, self.folder, '--image', self.image,
                             '--engine', self.engine, '--stats', *self.options)

    def connect(self, *features):
        """A front end that has agreed on these features, and shares memory."""
        front = FrontEnd(self.server.path)
        self.addCleanup(front.close)
        bits = 1 << PROTOCOL_FEATURES | 1 << VERSION_1 | 1 << FLUSH
        for feature in features:
            bits |= 1 << feature
        front.begin(bits)
        front.share(self.memory)
        return front

    def make_ring(self, front, index=0, **options):
        ring = Ring(self.memory, **options)
        self.addCleanup(ring.close)
        ring.start(front, index)
        return ring

    def on_image(self, offset, size):
        with open(self.image, 'rb') as image:
            image.seek(offset)
            return image.read(size)

    def do(self, ring, kind, sector=0, out=b'', room=0, **how):
        """Does one request, and returns it."""
        request = Request(self.memory, kind, sector, out, room)
        request.submit(ring, **how)
        head, request.written = ring.reap()
        self.assertEqual(head, request.head)
        ring.free += request.numbers
        return request


def main(case):
    """SERVER ENGINE: runs the tests of the calling program."""
    if not hasattr(os, 'eventfd') or not hasattr(os, 'memfd_create'):
        skip('this Python knows no eventfd or memfd')
    case.program, case.engine = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'image')
        with open(image, 'wb') as file:
            file.truncate(1 << 20)
        try:
            Server(case.program, folder, '--image', image, '--engine',
                   case.engine).stop()
        except RuntimeError as error:
            skip(str(error).strip())
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)


def skip(reason):
    print('skipped:', reason)
    sys.exit(1 if os.environ.get('IOQ_TEST_NO_SKIP') == '1' else 77)
