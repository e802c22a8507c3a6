# SPDX-License-Identifier: LGPL-2.1-or-later
"""hostile.py SERVER ENGINE [TEST...]

Lies, one by one, of a guest and of an emulator. Each ends in an error line, and
in a broken ring, a failed request or a refused message for the one who lied.
The server goes on: another queue is served meanwhile, and the next emulator.
"""
import fcntl
import os
import select
import struct

import vhost
from vhost import (Buffer, FrontEnd, F_INDIRECT, F_NEXT, F_WRITE, HungUp, IOERR,
                   OK, Refused, Region, Request, T_DISCARD, T_ID, T_IN, T_OUT,
                   T_ZEROES, table_of)

OUTSIDE = 0x40000000  # of the guest's memory
VRING = struct.Struct('<II')


class Hostile(vhost.Case):
    image_size = 1 << 20
    features = (vhost.INDIRECT, vhost.DISCARD, vhost.WRITE_ZEROES)

    def setUp(self):
        super().setUp()
        self.fronts, self.lines = [], {}
        # Those who came before, to see whether it listens, are gone after this.
        front = FrontEnd(self.server.path)
        front.ask_number(vhost.GET_QUEUE_NUM)
        front.close()
        vhost.wait_until(self.deserted, 'the server to be alone')
        self.descriptors = self.server.descriptors()

    def deserted(self):
        """Nobody is connected: there is no socket but the one it listens at."""
        folder = f'/proc/{self.server.process.pid}/fd'
        sockets = 0
        for name in os.listdir(folder):
            try:
                sockets += os.readlink(f'{folder}/{name}').startswith('socket')
            except FileNotFoundError:
                pass
        return sockets == 1

    def tearDown(self):
        try:
            self.check_server()
        finally:
            super().tearDown()

    def check_server(self):
        """It serves the next one, and has kept nothing of the last."""
        self.assertTrue(self.server.alive(), 'the server is gone')
        for front in self.fronts:
            front.close()
        vhost.wait_until(self.deserted, 'the server to be alone')
        self.assertEqual(self.server.descriptors(), self.descriptors)
        memory = vhost.Memory()
        self.addCleanup(memory.close)
        self.memory = memory
        front = self.connect()
        done = self.do(self.make_ring(front), T_IN, 9, room=512)
        self.assertEqual((done.result(), done.came_in()),
                         (OK, self.content[9 * 512:10 * 512]))
        front.close()
        self.assertEqual(self.on_image(0, self.image_size), self.content)

    def connect(self, *features):
        front = super().connect(*(features or self.features))
        self.fronts.append(front)
        return front

    def refused(self, request, payload=b'', fds=()):
        front = self.connect()
        with self.assertRaises((Refused, HungUp)):
            front.tell(request, payload, fds)
        front.close()

    def expect_line(self, words):
        """Another one, where these words were expected before."""
        before = self.lines.get(words, 0)
        vhost.wait_until(lambda: self.server.log().count(words) > before,
                         f'an error line that says: {words}')
        self.lines[words] = self.server.log().count(words)


class Guest(Hostile):
    """Queue 0 tells lies, and queue 1 is another CPU's of the same guest."""

    def setUp(self):
        super().setUp()
        self.front = self.connect()
        self.ring = self.make_ring(self.front, 0, size=16)
        self.other = self.make_ring(self.front, 1)
        self.request = Request(self.memory, T_IN, room=512)
        self.header, self.data, self.status = self.request.buffers

    def expect_broken(self, words):
        self.expect_line(f'queue 0 is broken: {words}')
        vhost.wait_until(lambda: self.read_error(self.ring), 'the error event')
        self.assertEqual(self.ring.used_index(), 0)
        self.assertEqual(self.request.result(), 0xff)
        self.assertEqual(self.do(self.other, T_IN, room=512).result(), OK)
        # A driver that starts over is served.
        self.ring.stop(self.front)
        anew = self.make_ring(self.front, 0)
        self.assertEqual(self.do(anew, T_IN, room=512).result(), OK)

    def read_error(self, ring):
        try:
            return os.eventfd_read(ring.error_fd)
        except BlockingIOError:
            return 0

    def submit_buffers(self, *buffers, indirect=False):
        self.request.buffers = list(buffers)
        self.request.submit(self.ring, indirect=indirect)



class Rings(Guest):
    def table(self, *rows):
        """An indirect table of (address, length, flags, next)."""
        place = self.memory.allocate(16 * len(rows), 16)
        for i, row in enumerate(rows):
            self.memory.put('<QIHH', place + 16 * i, *row)
        return place

    # Heads and indices.

    def test_head_out_of_range(self):
        self.ring.submit(16)
        self.expect_broken("a chain's number is too large")

    def test_head_far_out_of_range(self):
        self.ring.submit(0xffff)
        self.expect_broken("a chain's number is too large")

    def test_told_once(self):
        """However often the driver kicks a ring that is broken."""
        self.ring.submit(16)
        vhost.wait_until(lambda: self.read_error(self.ring), 'the error event')
        for _ in range(20):
            self.ring.kick()
            vhost.wait_until(lambda: not select.select(
                [self.ring.kick_fd], [], [], 0)[0], 'the kick to be heard')
        self.ring.stop(self.front)
        self.assertEqual(self.read_error(self.ring), 0)
        self.assertEqual(self.server.log().count('queue 0 is broken: '), 1)

    def test_next_out_of_range(self):
        self.ring.put(0, self.header.address, 16, F_NEXT, 16)
        self.ring.submit(0)
        self.expect_broken("a descriptor's number is too large")

    def test_index_jumps(self):
        self.ring.next = 17
        self.ring.publish()
        self.ring.kick()
        self.expect_broken('more chains than the ring has room for')

    def test_index_goes_back(self):
        self.ring.next = 0xffff
        self.ring.publish()
        self.ring.kick()
        self.expect_broken('more chains than the ring has room for')

    def test_same_chain_twice(self):
        """The second time, the server still has it."""
        head, _ = self.ring.chain(self.request.buffers)
        self.ring.offer(head)
        self.ring.offer(head)
        self.ring.publish()
        self.ring.kick()
        self.expect_line('queue 0 is broken: a chain came twice')
        self.ring.reap()
        self.assertEqual(self.do(self.other, T_IN, room=512).result(), OK)

    # Loops.

    def test_loop_of_one(self):
        self.ring.put(0, self.header.address, 16, F_NEXT, 0)
        self.ring.submit(0)
        self.expect_broken('a chain is too long, or a loop')

    def test_loop_of_two(self):
        self.ring.put(0, self.header.address, 16, F_NEXT, 1)
        self.ring.put(1, self.header.address, 16, F_NEXT, 0)
        self.ring.submit(0)
        self.expect_broken('a chain is too long, or a loop')

    def test_loop_of_empty_buffers(self):
        self.ring.put(0, self.header.address, 0, F_NEXT, 0)
        self.ring.submit(0)
        self.expect_broken('a chain is too long, or a loop')

    def test_loop_in_indirect_table(self):
        table = self.table((self.header.address, 16, F_NEXT, 1),
                           (self.data.address, 16, F_NEXT, 0))
        self.ring.put(0, table, 32, F_INDIRECT)
        self.ring.submit(0)
        self.expect_broken('a chain is too long, or a loop')

    def test_chain_too_long(self):
        rows = [(self.header.address, 1, F_NEXT, i + 1) for i in range(128)]
        table = self.table(*rows, (self.status.address, 1, F_WRITE, 0))
        self.ring.put(0, table, 16 * 129, F_INDIRECT)
        self.ring.submit(0)
        self.expect_broken('an indirect table has a wrong length')

    # Indirect tables.

    def test_indirect_in_indirect(self):
        inner = self.table((self.header.address, 16, 0, 0))
        outer = self.table((inner, 16, F_INDIRECT, 0))
        self.ring.put(0, outer, 16, F_INDIRECT)
        self.ring.submit(0)
        self.expect_broken('an indirect table within another')

    def test_indirect_next_out_of_range(self):
        table = self.table((self.header.address, 16, F_NEXT, 2),
                           (self.status.address, 1, F_WRITE, 0))
        self.ring.put(0, table, 32, F_INDIRECT)
        self.ring.submit(0)
        self.expect_broken("a descriptor's number is too large")

    def test_indirect_lengths(self):
        table = self.table((self.header.address, 16, 0, 0))
        for length in (0, 8, 17, 0xfffffff0, 0xffffffff):
            with self.subTest(length):
                ring = self.make_ring(self.front, 2)
                ring.put(0, table, length, F_INDIRECT)
                ring.submit(0)
                self.expect_line('queue 2 is broken: an indirect table has a '
                                 'wrong length')
                ring.stop(self.front)
                self.assertEqual(ring.used_index(), 0)

    def test_indirect_outside(self):
        for place in (OUTSIDE, (1 << 64) - 16, self.memory.seam + (1 << 20) -
                      16):
            with self.subTest(place):
                ring = self.make_ring(self.front, 2)
                ring.put(0, place, 32, F_INDIRECT)
                ring.submit(0)
                vhost.wait_until(lambda: self.read_error(ring), 'the error')
                ring.stop(self.front)
                self.assertEqual(ring.used_index(), 0)
        self.expect_line('queue 2 is broken: an indirect table is not in guest '
                         'memory')

    def test_indirect_followed(self):
        table = self.table((self.header.address, 16, 0, 0))
        self.ring.put(0, table, 16, F_INDIRECT | F_NEXT, 1)
        self.ring.put(1, self.status.address, 1, F_WRITE)
        self.ring.submit(0)
        self.expect_broken('a descriptor follows an indirect table')

    # Buffers.

    def test_buffer_outside(self):
        end = self.memory.seam + self.memory.PART
        for address, length in ((OUTSIDE, 512), (0, 512), (end, 512),
                                (end - 511, 512), ((1 << 64) - 8, 512),
                                ((1 << 64) - 512, 512),
                                (self.memory.regions[0].guest, 0xffffffff),
                                (self.memory.regions[0].user, 512)):
            for writable in (False, True):
                with self.subTest(f'{address:x} {length:x} {writable}'):
                    self.try_buffer(Buffer(address, length, writable))
        self.expect_line('queue 2 is broken: a buffer is not in guest memory')

    def try_buffer(self, buffer):
        request = Request(self.memory, T_IN, room=512)
        request.buffers[1] = buffer
        ring = self.make_ring(self.front, 2)
        request.submit(ring)
        vhost.wait_until(lambda: self.read_error(ring), 'the error')
        ring.stop(self.front)
        self.assertEqual((ring.used_index(), request.result()), (0, 0xff))

    def test_to_read_after_to_write(self):
        self.submit_buffers(self.header, self.status,
                            Buffer(self.data.address, 512, False))
        self.expect_broken('a buffer to read follows one to write')

    def test_header_is_for_us_to_write(self):
        self.submit_buffers(Buffer(self.header.address, 16, True), self.data,
                            self.status)
        self.expect_broken('a request without a header or a status')

    def test_header_too_short(self):
        self.submit_buffers(Buffer(self.header.address, 15, False), self.status)
        self.expect_broken('a request without a header or a status')

    def test_no_status(self):
        self.submit_buffers(self.header)
        self.expect_broken('a request without a header or a status')

    def test_empty_status(self):
        self.submit_buffers(self.header, Buffer(self.status.address, 0, True))
        self.expect_broken('a request without a header or a status')

    def test_status_is_for_us_to_read(self):
        self.submit_buffers(self.header,
                            Buffer(self.status.address, 1, False))
        self.expect_broken('a request without a header or a status')

    def test_empty_chain(self):
        self.submit_buffers(Buffer(0, 0, False))
        self.expect_broken('a request without a header or a status')

    def test_empty_buffers_at_the_end(self):
        """An empty one behind the status hides it."""
        self.submit_buffers(self.header, self.data, self.status,
                            Buffer(OUTSIDE, 0, True))
        head, _ = self.ring.reap()
        self.assertEqual(head, self.request.head)
        self.assertEqual(self.request.result(), OK)


class WithoutIndirect(Guest):
    features = (vhost.DISCARD,)

    def test_indirect(self):
        self.submit_buffers(*self.request.buffers, indirect=True)
        self.expect_broken('indirect descriptors were not agreed upon')


class Requests(Hostile):
    """A whole ring, and what makes no sense in it."""

    def test_places(self):
        ring = self.make_ring(self.connect(), size=64)
        end = self.image_size // 512
        zeroes = struct.pack('<QII', 0, 8, 0)
        beyond = [(0, 0xffffffff, 0), (end - 1, 2, 0), (1 << 55, 8, 0),
                  ((1 << 64) - 1, 8, 0), ((1 << 55) - 1, 1, 0)]
        bad = [(T_OUT, sector, bytes(1024))
               for sector in (end, end - 1, 1 << 55, (1 << 64) - 1,
                              (1 << 63) // 512)]
        for kind in (T_DISCARD, T_ZEROES):
            bad += [(kind, 0, struct.pack('<QII', *one)) for one in beyond]
            bad += [(kind, 0, b''), (kind, 0, zeroes[:8]),
                    (kind, 0, zeroes + b'1'), (kind, 0, zeroes * 17),
                    (kind, 0, zeroes * 4000)]
        for kind, sector, out in bad:
            with self.subTest(f'{kind} {sector:x} {len(out)}'):
                done = self.do(ring, kind, sector, out=out)
                self.assertEqual((done.result(), done.written), (IOERR, 1))

    def test_the_same_memory_many_times(self):
        """126 buffers of 1 MiB, all of them the same."""
        front = self.connect()
        ring = self.make_ring(front)
        request = Request(self.memory, T_IN, room=512)
        part = self.memory.regions[1]
        request.buffers[1:2] = [Buffer(part.guest, part.size, True)] * 126
        request.submit(ring, indirect=True)
        ring.reap()
        self.assertEqual(request.result(), IOERR)

    def test_rings_in_one_place(self):
        """The used ring lies over the available one: each chain that is given
        back offers another. The server is not kept from hearing us."""
        front = self.connect()
        ring = vhost.Ring(self.memory)
        self.addCleanup(ring.close)
        ring.used = ring.avail = self.memory.allocate(512)
        request = Request(self.memory, T_ID, room=20)
        request.head, _ = ring.chain(request.buffers)
        ring.start(front)
        ring.submit(request.head)
        ring.kick()
        for _ in range(10):
            front.ask_number(vhost.GET_QUEUE_NUM)
        ring.stop(front)

    def test_data_over_the_ring(self):
        """What is read goes over the descriptors and both rings."""
        front = self.connect()
        ring = self.make_ring(front)
        request = Request(self.memory, T_IN, room=4096)
        request.buffers[1] = Buffer(ring.desc, 4096, True)
        request.submit(ring)
        ring.kick()
        ring.stop(front)


class Addresses(Hostile):
    """Where the rings are, and how large they are."""

    def start(self, size=16, **places):
        front = self.connect()
        ring = vhost.Ring(self.memory)
        self.addCleanup(ring.close)
        ring.size = size
        ring.desc = places.get('desc', ring.desc)
        ring.avail = places.get('avail', ring.avail)
        ring.used = places.get('used', ring.used)
        with self.assertRaises((Refused, HungUp)):
            ring.start(front)
        front.close()

    def test_outside(self):
        for part in ('desc', 'avail', 'used'):
            for place in (OUTSIDE, 0, (1 << 64) - 64, 1 << 63):
                with self.subTest(f'{part} {place:x}'):
                    self.start(**{part: place})
        self.expect_line('queue 0 is not in guest memory')

    def test_across_the_end(self):
        end = self.memory.seam + self.memory.PART
        for part in ('desc', 'avail', 'used'):
            for seam in (end, self.memory.seam):
                with self.subTest(f'{part} {seam:x}'):
                    self.start(**{part: seam - 16})
        self.expect_line('queue 0 is not in guest memory')

    def test_misaligned(self):
        place = self.memory.allocate(1024)
        for part, off in (('desc', 8), ('avail', 1), ('used', 2)):
            with self.subTest(part):
                self.start(**{part: place + off})
        self.expect_line('queue 0 is not aligned')

    def test_misaligned_region(self):
        """Aligned for the emulator, and not for the server."""
        first = self.memory.regions[0]
        self.memory.regions = [first._replace(size=1 << 16, offset=1)]
        self.start()
        self.expect_line('queue 0 is not aligned')

    def test_sizes(self):
        for size in (0, 3, 15, 1025, 2048, 0x10000, 0x10010, 0xffffffff):
            with self.subTest(size):
                self.start(size=size)
        self.expect_line('queue 0: no size of 65552')
        self.expect_line('queue 0 has a size of 15')

    def test_no_such_queue(self):
        for index in (4, 255, 0xffffffff):
            for request, payload in (
                    (vhost.SET_VRING_NUM, VRING.pack(index, 8)),
                    (vhost.SET_VRING_BASE, VRING.pack(index, 8)),
                    (vhost.SET_VRING_ENABLE, VRING.pack(index, 1)),
                    (vhost.SET_VRING_ADDR,
                     struct.pack('<II4Q', index, 0, 0, 0, 0, 0)),
                    (vhost.SET_VRING_KICK, struct.pack('<Q', index & 255)),
                    (vhost.SET_VRING_CALL, struct.pack('<Q', index & 255))):
                with self.subTest(f'{request} {index}'):
                    self.refused(request, payload)
        self.expect_line('there is no queue 255')


class Table(Hostile):
    """The memory table."""

    def refuse(self, regions, words, fds=None, count=None):
        if fds is None:
            fds = [self.memory.fd] * len(regions)
        self.refused(vhost.SET_MEM_TABLE, table_of(regions, count), fds)
        self.expect_line(words)

    def test_empty_region(self):
        self.refuse([Region(0, 0, 0, 0)], 'a memory region makes no sense')

    def test_overlap(self):
        self.refuse([Region(0, 8192, 0, 0), Region(4096, 8192, 1 << 40, 0)],
                    'two memory regions overlap')
        self.refuse([Region(0, 8192, 0, 0)] * 2, 'two memory regions overlap')

    def test_overflow(self):
        top = (1 << 64) - 4096
        for region in (Region(top, 8192, 0, 0), Region(0, 8192, top, 0),
                       Region(0, 8192, 0, top), Region(0, top, 0, 8192),
                       Region(0, (1 << 64) - 1, 0, 0)):
            with self.subTest(region):
                self.refuse([region], 'a memory region makes no sense')

    def test_beyond_the_file(self):
        """The first touch would be a SIGBUS."""
        size = 3 * self.memory.PART
        for region in (Region(0, size + 1, 0, 0), Region(0, 4096, 0, size),
                       Region(0, 8192, 0, size - 4096),
                       Region(0, 1 << 40, 0, 0)):
            with self.subTest(region):
                self.refuse([region], 'a memory region ends beyond its file')

    def test_fewer_files(self):
        regions = self.memory.regions
        self.refuse(regions, 'a memory table of 2 regions with 1 files',
                    [self.memory.fd])
        self.refuse(regions, 'a memory table of 2 regions with 0 files', [])

    def test_more_files(self):
        self.refuse(self.memory.regions,
                    'a memory table of 2 regions with 3 files',
                    [self.memory.fd] * 3)

    def test_more_regions_than_there_may_be(self):
        some = [Region(i << 20, 4096, i << 20, 0) for i in range(8)]
        self.refuse(some, 'a memory table of 9 regions', count=9)
        self.refuse(some, 'a memory table of 4294967295 regions',
                    count=0xffffffff)

    def test_what_is_no_memory(self):
        reader, writer = os.pipe()
        event = os.eventfd(0)
        folder = os.open('/', os.O_RDONLY)
        with open(self.image, 'rb') as read_only:
            for fd in (reader, writer, event, folder, read_only.fileno()):
                with self.subTest(fd):
                    self.refused(vhost.SET_MEM_TABLE,
                                 table_of([Region(0, 4096, 0, 0)]), [fd])
        self.expect_line('cannot map guest memory')
        for fd in (reader, writer, event, folder):
            os.close(fd)

    def test_memory_is_taken_away(self):
        front = self.connect()
        ring = self.make_ring(front)
        self.assertEqual(self.do(ring, T_IN, room=512).result(), OK)
        with self.assertRaises((Refused, HungUp)):
            front.tell(vhost.SET_MEM_TABLE, table_of([]))
        self.expect_line('queue 0 is not in guest memory')


class Messages(Hostile):
    def try_bytes(self, content, words=None, fds=(), finish=False):
        """Sends this instead of a message. Then the connection is over."""
        front = FrontEnd(self.server.path)
        front.send_bytes(content, fds)
        if finish:
            front.socket.shutdown(1)
        front.expect_hang_up()
        front.close()
        if words:
            self.expect_line(words)

    def header(self, request, size, flags=vhost.VERSION):
        return struct.pack('<III', request, flags, size)

    def test_half_a_header(self):
        self.try_bytes(b'\1\0\0', 'a message came in part only', finish=True)

    def test_half_a_payload(self):
        self.try_bytes(self.header(vhost.SET_FEATURES, 8) + b'\0' * 4,
                       'message 2 came in part only', finish=True)

    def test_the_rest_never_comes(self):
        """It waits a while, and no longer. Signals are heard all the time."""
        front = FrontEnd(self.server.path)
        front.send_bytes(self.header(vhost.SET_FEATURES, 8))
        front.expect_hang_up()
        front.close()

    def test_too_long(self):
        for size in (300, 1 << 20, 0xffffffff):
            self.try_bytes(self.header(vhost.SET_FEATURES, size) + bytes(400),
                           f'message 2 is too long: {size} bytes')

    def test_too_short(self):
        for request in (2, 5, 8, 9, 10, 11, 12, 13, 14, 16, 18, 25, 31, 32):
            self.try_bytes(self.header(request, 4) + bytes(4),
                           f'message {request} is too short')

    def test_unknown(self):
        for request in (0, 6, 7, 19, 33, 1000, 0x7fffffff, 0xffffffff):
            self.try_bytes(self.header(request, 0),
                           f'message {request} is not known')

    def test_wrong_version(self):
        for flags in (0, 2, 3):
            self.try_bytes(self.header(1, 0, flags),
                           f'message 1 has unknown flags 0x{flags:x}')

    def test_noise(self):
        self.try_bytes(os.urandom(8) + b'\xff' * 400)

    def test_more_descriptors_than_any_message_has(self):
        self.try_bytes(self.header(vhost.SET_OWNER, 0),
                       'a message came in part only', [self.memory.fd] * 40)

    def test_descriptors_that_nobody_asked_for(self):
        front = self.connect()
        front.ask_number(vhost.GET_QUEUE_NUM)  # closed after the answer
        before = self.server.descriptors()
        for _ in range(50):
            front.tell(vhost.SET_OWNER, fds=[self.memory.fd] * 8)
        front.ask_number(vhost.GET_QUEUE_NUM)
        self.assertEqual(self.server.descriptors(), before)

    def test_features_that_were_not_offered(self):
        for request in (vhost.SET_FEATURES, vhost.SET_PROTOCOL_FEATURES):
            for bit in (1, 35, 63):
                self.try_bytes(self.header(request, 8) +
                               struct.pack('<Q', 1 << bit))
        self.expect_line('features that were not offered: 0x2')
        self.expect_line('protocol features that were not offered')

    def test_queue_without_kicks(self):
        front = self.connect()
        with self.assertRaises(Refused):
            front.tell(vhost.SET_VRING_KICK, struct.pack('<Q', 1 << 8))
        with self.assertRaises(Refused):
            front.tell(vhost.SET_VRING_KICK, struct.pack('<Q', 0))
        with self.assertRaises(Refused):
            front.tell(vhost.SET_VRING_CALL, struct.pack('<Q', 0),
                       [self.memory.fd] * 2)

    def test_configuration(self):
        front = self.connect()
        for offset, size in ((0, 257), (0, 0xffffffff), (0xffffffff, 1),
                             (255, 2), (0xfffffff0, 0x20)):
            self.assertEqual(front.ask(vhost.GET_CONFIG, struct.pack(
                '<III', offset, size, 0)), b'')
            with self.assertRaises(Refused):
                front.tell(vhost.SET_CONFIG,
                           struct.pack('<III', offset, size, 0) + bytes(64))
        self.assertEqual(front.ask(vhost.GET_CONFIG), b'')

    def test_messages_without_order(self):
        """Queues that are started before anything is known of them."""
        ring = vhost.Ring(self.memory)
        self.addCleanup(ring.close)
        front = FrontEnd(self.server.path)
        for request in (vhost.SET_VRING_ENABLE, vhost.SET_VRING_NUM,
                        vhost.SET_VRING_BASE):
            front.send(request, VRING.pack(0, 1))
        front.send(vhost.SET_VRING_KICK, struct.pack('<Q', 0), [ring.kick_fd])
        front.expect_hang_up()
        front.close()
        self.expect_line('queue 0 is not in guest memory')

    def test_changes_while_it_runs(self):
        """Each stops the queue, and starts it again or not at all."""
        front = self.connect()
        ring = self.make_ring(front, size=64)
        for _ in range(20):
            start = self.memory.next
            some = [Request(self.memory, T_IN, i, room=4096).submit(ring)
                    for i in range(8)]
            front.share(self.memory)
            front.tell(vhost.SET_VRING_CALL, struct.pack('<Q', 0),
                       [ring.call_fd])
            front.tell(vhost.SET_VRING_ENABLE, VRING.pack(0, 0))
            front.tell(vhost.SET_VRING_ENABLE, VRING.pack(0, 1))
            for request in some:
                ring.reap()
                ring.free += request.numbers
            self.memory.next = start
        front.tell(vhost.RESET_OWNER)


class Events(Hostile):
    """Descriptors that are no eventfds."""

    def serve_with(self, kick=None, call=None):
        front = self.connect()
        ring = vhost.Ring(self.memory)
        for name, fd in (('kick_fd', kick), ('call_fd', call)):
            if fd is not None:
                os.close(getattr(ring, name))
                setattr(ring, name, os.dup(fd))
        self.addCleanup(ring.close)
        ring.start(front)
        request = Request(self.memory, T_IN, room=512)
        request.head, _ = ring.chain(request.buffers)
        ring.offer(request.head)
        ring.publish()
        # Not by a kick: it looks at the ring whenever it starts.
        front.tell(vhost.SET_VRING_ENABLE, VRING.pack(0, 1))
        ring.reap()
        self.assertEqual(request.result(), OK)
        front.ask_number(vhost.GET_QUEUE_NUM)
        ring.stop(front)
        front.close()

    def test_call_that_nobody_reads(self):
        """A pipe that is full, whose writer would wait for ever."""
        reader, writer = os.pipe()
        flags = fcntl.fcntl(writer, fcntl.F_GETFL)
        fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        try:
            while True:
                os.write(writer, bytes(4096))
        except BlockingIOError:
            pass
        fcntl.fcntl(writer, fcntl.F_SETFL, flags)
        self.serve_with(call=writer)
        os.close(reader)
        os.close(writer)

    def test_call_that_nobody_can_read(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.serve_with(call=writer)
        os.close(writer)

    def test_kick_that_hangs_up(self):
        reader, writer = os.pipe()
        os.close(writer)
        self.serve_with(kick=reader)
        os.close(reader)

    def test_kick_that_never_ends(self):
        with open('/dev/zero', 'rb') as zero:
            self.serve_with(kick=zero.fileno())

    def test_kick_of_another_kind(self):
        file = os.memfd_create('no eventfd')
        os.ftruncate(file, 64)
        self.serve_with(kick=file, call=file)
        os.close(file)
        with open('/dev/null', 'wb') as null:
            self.serve_with(kick=null.fileno(), call=null.fileno())


class Logs(Hostile):
    """What the emulator says was in flight."""

    def setUp(self):
        super().setUp()
        self.needed = self.ask_size(1)

    def ask_size(self, queues):
        """What the server's own log takes."""
        front = self.connect()
        front.send(vhost.GET_INFLIGHT_FD,
                   struct.pack('<QQHHI', 0, 0, queues, 16, 0))
        answer, fd = front.receive(vhost.GET_INFLIGHT_FD)
        os.close(fd)
        front.close()
        return struct.unpack_from('<Q', answer)[0]

    def describe(self, size, offset=0, queues=1, queue_size=16):
        return struct.pack('<QQHHI', size, offset, queues, queue_size, 0)

    def refuse(self, words, *described, fds=None):
        front = self.connect()
        with self.assertRaises((Refused, HungUp)):
            front.tell(vhost.SET_INFLIGHT_FD, self.describe(*described),
                       [self.memory.fd] if fds is None else fds)
        front.close()
        self.expect_line(words)

    def test_too_small(self):
        words = 'the in-flight log has a wrong size'
        self.refuse(words, self.needed - 1)
        self.refuse(words, 0)
        self.refuse(words, self.ask_size(4) - 1, 0, 4)

    def test_misplaced(self):
        end = 3 * self.memory.PART
        self.refuse('the in-flight log has a wrong size', self.needed, 8)
        for offset in (end, end - self.needed + 64, (1 << 64) - 64):
            self.refuse('the in-flight log ends beyond its file', self.needed,
                        offset)

    def test_no_such_queues(self):
        self.refuse('an in-flight log for 5 queues of 16', 1 << 20, 0, 5)
        self.refuse('an in-flight log for 1 queues of 1025', 1 << 20, 0, 1,
                    1025)
        self.refuse('the in-flight log has a wrong size', 1 << 20, 0, 0)

    def test_number_of_files(self):
        self.refuse('an in-flight log for 1 queues of 16', self.needed,
                    fds=[])
        self.refuse('an in-flight log for 1 queues of 16', self.needed,
                    fds=[self.memory.fd] * 2)

    def test_no_file(self):
        event = os.eventfd(0)
        self.refuse('the in-flight log ends beyond its file', self.needed,
                    fds=[event])
        os.close(event)

    def test_asked_for_too_much(self):
        for queues, size in ((0, 16), (5, 16), (0xffff, 16), (1, 0), (1, 1025),
                             (1, 0xffff)):
            front = self.connect()
            front.send(vhost.GET_INFLIGHT_FD,
                       struct.pack('<QQHHI', 0, 0, queues, size, 0))
            front.expect_hang_up()
            front.close()
        self.expect_line('no in-flight log for 65535 queues of 16')

    def keep(self, content):
        """A log of this content."""
        front = self.connect()
        fd = os.memfd_create('log')
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, 4096)
        os.pwrite(fd, content, 0)
        front.tell(vhost.SET_INFLIGHT_FD,
                   self.describe(self.needed), [fd])
        return front

    def log(self, entries, last=0, used=0, size=16):
        return struct.pack('<QHHHH', 0, 1, size, last, used) + b''.join(
            struct.pack('<B5xHQ', *entry) for entry in entries)

    def test_smaller_than_the_ring(self):
        front = self.keep(self.log([], size=8))
        ring = vhost.Ring(self.memory)
        self.addCleanup(ring.close)
        with self.assertRaises(Refused):
            ring.start(front)
        self.expect_line('queue 0: the in-flight log does not fit')

    def test_last_head_out_of_range(self):
        for last in (16, 0xffff):
            front = self.keep(self.log([(0, 0, 0)] * 16, last, used=5))
            ring = self.make_ring(front)
            self.assertEqual(self.do(ring, T_IN, room=512).result(), OK)
            front.close()

    def test_chains_that_were_never_made(self):
        """All are in flight, says the log; the ring is empty."""
        front = self.keep(self.log([(1, 0xffff, (1 << 64) - 1)] * 16))
        self.make_ring(front)
        self.expect_line('queue 0: 16 requests are done over')
        self.expect_line('queue 0 is broken: a request without a header or a '
                         'status')

    def test_what_is_in_flight_is_offered_too(self):
        front = self.keep(self.log([(1, 0, 0)]))
        ring = vhost.Ring(self.memory)
        self.addCleanup(ring.close)
        request = Request(self.memory, T_IN, room=512)
        request.head, _ = ring.chain(request.buffers)
        for _ in range(2):
            ring.offer(request.head)
        ring.publish()
        ring.start(front)
        self.expect_line('queue 0: 1 requests are done over')
        self.expect_line('queue 0 is broken: a chain came twice')

    def test_noise(self):
        for i in range(8):
            front = self.keep(self.log([], size=16)[:16] + os.urandom(256))
            ring = vhost.Ring(self.memory)
            self.addCleanup(ring.close)
            self.memory.write(ring.desc, os.urandom(256))
            self.memory.write(ring.avail + 2, os.urandom(34))
            try:
                ring.start(front)
                ring.stop(front)
            except (Refused, HungUp):
                pass
            front.close()


if __name__ == '__main__':
    vhost.main(vhost.Case)
