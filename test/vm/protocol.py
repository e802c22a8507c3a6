# SPDX-License-Identifier: LGPL-2.1-or-later
"""protocol.py SERVER

An emulator in small: what the server says to each message, what a driver finds
in its ring, and what a server that was killed leaves to the next one.
"""
import array
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
(GET_FEATURES, SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR,
 GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM,
 SET_VRING_ENABLE, GET_CONFIG, SET_CONFIG, GET_INFLIGHT_FD,
 SET_INFLIGHT_FD) = (1, 2, 5, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 24, 25, 31,
                     32)
BLOCK_FEATURES = {'FLUSH': 9, 'CONFIG_WCE': 11, 'MQ': 12}
VERSION_1, PROTOCOL, EVENT_IDX = 1 << 32, 1 << 30, 1 << 29
MQ, REPLY_ACK, CONFIG, INFLIGHT = 1 << 0, 1 << 3, 1 << 9, 1 << 12
WRITEBACK = 32  # where it is in the configuration space
NEXT, WRITE = 1, 2
READ, OUT, FLUSH, GET_ID = 0, 1, 4, 8
IMAGE = 1 << 20


def expect(wanted, got, what):
    if wanted != got:
        sys.exit(f'protocol.py: {what}: {got!r}, not {wanted!r}')


class Server:
    def __init__(self, program, folder):
        self.path = f'{folder}/socket'
        self.log = open(f'{folder}/log', 'w+')
        command = [program, '--socket', self.path, '--engine', 'threads',
                   '--image', f'{folder}/disk.img', '--queues', '2', '--stats']
        self.process = subprocess.Popen(command, stdout=self.log,
                                        stderr=self.log)

    def connect(self):
        end = time.monotonic() + PATIENCE
        while True:
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(PATIENCE)
            try:
                stream.connect(self.path)
                return Emulator(stream)
            except OSError:
                stream.close()
                if time.monotonic() > end:
                    sys.exit('protocol.py: nobody listens')
                time.sleep(0.05)

    def end(self, number):
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.log.seek(0)
        return status, self.log.read()


class Emulator:
    def __init__(self, stream):
        self.stream = stream

    def send(self, request, payload=b'', fds=(), flags=1):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                   array.array('i', fds))] if fds else []
        self.stream.sendmsg([struct.pack('<III', request, flags, len(payload))
                             + payload], rights)

    def receive(self, request):
        header, fds, _, _ = socket.recv_fds(self.stream, 12, 1)
        got, flags, size = struct.unpack('<III', header)
        expect((request, 5), (got, flags), 'an answer')
        return self.stream.recv(size, socket.MSG_WAITALL), fds

    def ask(self, request, payload=b''):
        self.send(request, payload)
        return self.receive(request)[0]

    def number(self, request):
        return struct.unpack('<Q', self.ask(request))[0]

    def tell(self, request, payload, fds=(), wanted=0):
        """Sends what need not be answered, and asks for an answer."""
        self.send(request, payload, fds, 1 | 1 << 3)
        answer, = struct.unpack('<Q', self.receive(request)[0])
        expect(wanted, answer != 0, f'message {request}')

    def agree(self, protocol=MQ | REPLY_ACK | CONFIG | INFLIGHT):
        self.send(SET_PROTOCOL_FEATURES, struct.pack('<Q', protocol))

    def config(self, offset, size):
        answer = self.ask(GET_CONFIG, struct.pack('<III', offset, size, 0)
                          + bytes(size))
        return answer[12:]

    def set_config(self, offset, content, wanted=0):
        self.tell(SET_CONFIG, struct.pack('<III', offset, len(content), 1)
                  + content, wanted=wanted)


class Driver:
    """One queue of eight, in memory of which it is the only user."""
    SIZE, GUEST, USER, LENGTH = 8, 0x100000, 0x7000000, 0x10000
    AVAILABLE, USED, DATA = 0x800, 0x1000, 0x2000

    def __init__(self, emulator):
        fd = os.memfd_create('guest')
        os.ftruncate(fd, self.LENGTH)
        self.memory = mmap.mmap(fd, self.LENGTH)
        self.kick, self.call, self.error = (os.eventfd(0) for _ in range(3))
        self.given = 0
        vring = lambda value: struct.pack('<II', 0, value)
        tell = emulator.tell
        tell(SET_MEM_TABLE, struct.pack('<IIQQQQ', 1, 0, self.GUEST,
                                        self.LENGTH, self.USER, 0), [fd])
        tell(SET_VRING_NUM, vring(self.SIZE))
        tell(SET_VRING_BASE, vring(0))
        tell(SET_VRING_ADDR, struct.pack(
            '<IIQQQQ', 0, 0, self.USER, self.USER + self.USED,
            self.USER + self.AVAILABLE, 0))
        for request, event in ((SET_VRING_CALL, self.call),
                               (SET_VRING_ERR, self.error),
                               (SET_VRING_KICK, self.kick)):
            tell(request, bytes(8), [event])
        tell(SET_VRING_ENABLE, vring(1))
        os.close(fd)

    def put(self, at, content):
        self.memory[at:at + len(content)] = content

    def offer(self, head):
        slot = self.AVAILABLE + 4 + self.given % self.SIZE * 2
        self.put(slot, struct.pack('<H', head))
        self.given += 1
        self.put(self.AVAILABLE + 2, struct.pack('<H', self.given))
        os.eventfd_write(self.kick, 1)

    def wait(self, event):
        if not select.select([event], [], [], PATIENCE)[0]:
            sys.exit('protocol.py: no event')
        return os.eventfd_read(event)

    def want_call_after(self, index):
        self.put(self.AVAILABLE + 4 + self.SIZE * 2, struct.pack('<H', index))

    def wanted_kick(self):
        return struct.unpack_from('<H', self.memory,
                                  self.USED + 4 + self.SIZE * 8)[0]

    def used(self):
        return struct.unpack_from('<H', self.memory, self.USED + 2)[0]

    def do(self, kind, sector, length=0, content=b''):
        """Returns the status and what is in the buffer then."""
        self.put(self.DATA, struct.pack('<IIQ', kind, 0, sector))
        self.put(self.DATA + 0x200, content)
        parts = [(0, 16, 0), (0x200, length, WRITE if kind != OUT else 0),
                 (0x100, 1, WRITE)]
        parts = [part for part in parts if part[1]]
        for i, (at, size, flags) in enumerate(parts):
            more = NEXT if i + 1 < len(parts) else 0
            self.put(i * 16, struct.pack('<QIHH', self.GUEST + self.DATA + at,
                                         size, flags | more, i + 1))
        self.offer(0)
        end = time.monotonic() + PATIENCE
        while self.used() != self.given % 65536:
            if time.monotonic() > end:
                sys.exit('protocol.py: a request does not complete')
            time.sleep(0.001)
        at = self.DATA + 0x200
        return self.memory[self.DATA + 0x100], self.memory[at:at + length]


def check_messages(emulator):
    offered = emulator.number(GET_FEATURES)
    for name, bit in BLOCK_FEATURES.items():
        expect(1, offered >> bit & 1, f'feature {name}')
    expect(MQ | REPLY_ACK | CONFIG | INFLIGHT,
           emulator.number(GET_PROTOCOL_FEATURES), 'protocol features')
    emulator.agree()
    expect(2, emulator.number(GET_QUEUE_NUM), 'queues')
    emulator.tell(SET_FEATURES, struct.pack('<Q', offered))
    emulator.tell(SET_FEATURES, struct.pack('<Q', 1 << 63), wanted=1)
    emulator.tell(77, b'', wanted=1)
    emulator.tell(SET_VRING_NUM, struct.pack('<II', 2, 8), wanted=1)
    emulator.tell(SET_VRING_NUM, struct.pack('<II', 0, 1025), wanted=1)
    expect(IMAGE // 512, struct.unpack('<Q', emulator.config(0, 8))[0],
           'the capacity')
    expect(b'', emulator.config(250, 7), 'what is beyond the configuration')
    emulator.set_config(0, b'12345678', wanted=1)
    emulator.set_config(WRITEBACK, b'\2', wanted=1)


def check_requests(emulator):
    emulator.agree()
    emulator.tell(SET_FEATURES, struct.pack('<Q', VERSION_1 | PROTOCOL))
    driver = Driver(emulator)
    content = os.urandom(4096)
    last = IMAGE // 512 - 8
    expect(0, driver.do(OUT, last, 4096, content)[0], 'a write')
    expect((0, content), driver.do(READ, last, 4096), 'a read')
    expect((0, b'disk.img'.ljust(20, b'\0')), driver.do(GET_ID, 0, 20), 'id')
    expect(0, driver.do(FLUSH, 0)[0], 'a flush')
    expect(1, driver.do(READ, last + 1, 4096)[0], 'a read beyond the end')
    expect(1, driver.do(READ, 1 << 63, 4096)[0], 'a read far beyond it')
    expect(2, driver.do(99, 0)[0], 'a request of no kind')
    driver.offer(driver.SIZE)
    driver.wait(driver.error)
    return content


def check_events(emulator):
    """One interrupt, for the last of five, as the driver asked for."""
    emulator.agree()
    emulator.tell(SET_FEATURES,
                  struct.pack('<Q', VERSION_1 | PROTOCOL | EVENT_IDX))
    driver = Driver(emulator)
    driver.wait(driver.call)  # what a server before might have kept to itself
    driver.want_call_after(4)
    for _ in range(5):
        expect(0, driver.do(FLUSH, 0)[0], 'a flush')
    expect(1, driver.wait(driver.call), 'interrupts')
    end = time.monotonic() + PATIENCE
    while driver.wanted_kick() != 5 and time.monotonic() < end:
        time.sleep(0.001)
    expect(5, driver.wanted_kick(), 'the kick that the server waits for')


def check_switch(server, program, folder):
    """Killed with the cache switched off: it is off at the next server's."""
    emulator = server.connect()
    emulator.agree()
    emulator.send(GET_INFLIGHT_FD, struct.pack('<QQHHI', 0, 0, 2, 8, 0))
    log, (fd,) = emulator.receive(GET_INFLIGHT_FD)
    emulator.tell(SET_INFLIGHT_FD, log, [fd])
    expect(b'\1', emulator.config(WRITEBACK, 1), 'the switch')
    emulator.set_config(WRITEBACK, b'\0')
    status, lines = server.end(signal.SIGKILL)
    expect(-signal.SIGKILL, status, 'the status')
    expect(1, lines.count('queue 0 is broken: '), 'error lines')

    server = Server(program, folder)
    emulator = server.connect()
    emulator.agree()
    emulator.tell(SET_INFLIGHT_FD, log, [fd])
    expect(b'\0', emulator.config(WRITEBACK, 1), 'the switch of before')
    emulator.set_config(WRITEBACK, b'\1')
    expect(b'\1', emulator.config(WRITEBACK, 1), 'the switch, on again')
    return server


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(dir='.') as folder:
        with open(f'{folder}/disk.img', 'wb') as image:
            image.truncate(IMAGE)
        server = Server(program, folder)
        try:
            check_messages(server.connect())
            content = check_requests(server.connect())
            check_events(server.connect())
            server = check_switch(server, program, folder)
            status, lines = server.end(signal.SIGTERM)
        finally:
            server.process.kill()
        expect(0, status, 'the status')
        expect(1, lines.count('engine threads'), 'lines on the engine')
        with open(f'{folder}/disk.img', 'rb') as image:
            image.seek(-4096, os.SEEK_END)
            expect(content, image.read(), 'the image')


main()
