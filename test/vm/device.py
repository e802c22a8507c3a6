# SPDX-License-Identifier: LGPL-2.1-or-later
"""device.py SERVER ENGINE [TEST...]

What a driver and an emulator may expect of the vhost-user-blk example: each
command, the configuration space, rings of all kinds, and the log of what was in
flight when the server died.
"""
import os
import random
import select
import signal
import struct
import time

import vhost
from vhost import (Buffer, FrontEnd, IOERR, OK, Refused, Request, SECTOR,
                   T_DISCARD, T_FLUSH, T_ID, T_IN, T_OUT, T_ZEROES, UNSUPP)

ALL = (vhost.INDIRECT, vhost.EVENT_IDX, vhost.MQ, vhost.CONFIG_WCE,
       vhost.DISCARD, vhost.WRITE_ZEROES)
PLAIN = (vhost.INDIRECT, vhost.MQ, vhost.DISCARD, vhost.WRITE_ZEROES)


def ranges(*triples):
    return b''.join(struct.pack('<QII', *triple) for triple in triples)


class Commands(vhost.Case):
    """One after the other, through a plain ring."""

    def setUp(self):
        super().setUp()
        self.front = self.connect(*PLAIN)
        self.ring = self.make_ring(self.front, size=32)
        self.sectors = self.image_size // SECTOR

    def test_read(self):
        for sector, size in ((0, 512), (8, 4096), (3, 1536), (64, 65536),
                             (self.sectors - 1, 512)):
            done = self.do(self.ring, T_IN, sector, room=size)
            self.assertEqual((done.result(), done.written), (OK, size + 1))
            start = sector * SECTOR
            self.assertEqual(done.came_in(), self.content[start:start + size])

    def test_write(self):
        for sector, size in ((0, 512), (16, 4096), (5, 512), (128, 65536),
                             (self.sectors - 1, 512)):
            content = os.urandom(size)
            done = self.do(self.ring, T_OUT, sector, out=content)
            self.assertEqual((done.result(), done.written), (OK, 1))
            self.assertEqual(self.on_image(sector * SECTOR, size), content)
        # In between, all is as it was.
        self.assertEqual(self.on_image(6 * SECTOR, 4096),
                         self.content[6 * SECTOR:6 * SECTOR + 4096])

    def test_flush(self):
        done = self.do(self.ring, T_FLUSH)
        self.assertEqual((done.result(), done.written), (OK, 1))

    def test_get_id(self):
        done = self.do(self.ring, T_ID, room=20)
        self.assertEqual((done.result(), done.written), (OK, 21))
        self.assertEqual(done.came_in(), b'disk.img'.ljust(20, b'\0'))
        # As much as there is room for.
        done = self.do(self.ring, T_ID, room=6)
        self.assertEqual((done.result(), done.written), (OK, 7))
        self.assertEqual(done.came_in(), b'disk.i')

    def test_discard_leaves_neighbours(self):
        done = self.do(self.ring, T_DISCARD,
                       out=ranges((64, 64, 0), (512, 8, 0)))
        self.assertEqual((done.result(), done.written), (OK, 1))
        for start, end in ((0, 64), (128, 512), (520, self.sectors)):
            self.assertEqual(
                self.on_image(start * SECTOR, (end - start) * SECTOR),
                self.content[start * SECTOR:end * SECTOR])

    def test_write_zeroes(self):
        expected = bytearray(self.content)
        for unmap in (0, 1):
            start = 100 + 1000 * unmap
            some = [(start, 3, unmap), (start + 500, 128, unmap),
                    (start + 4, 1, unmap)]
            done = self.do(self.ring, T_ZEROES, out=ranges(*some))
            self.assertEqual((done.result(), done.written), (OK, 1))
            for sector, count, _ in some:
                expected[sector * SECTOR:(sector + count) * SECTOR] = bytes(
                    count * SECTOR)
        self.assertEqual(self.on_image(0, self.image_size), expected)

    def test_as_many_ranges_as_offered(self):
        some = [(i * 16, 8, 0) for i in range(16)]
        done = self.do(self.ring, T_ZEROES, out=ranges(*some))
        self.assertEqual(done.result(), OK)
        for i in range(16):
            self.assertEqual(self.on_image(i * 8192, 4096), bytes(4096))

    def test_unknown_commands(self):
        # 256 is 0 to those who keep but a byte of it.
        for kind in (2, 3, 5, 7, 99, 256, 0xffffffff):
            done = self.do(self.ring, kind, room=512)
            self.assertEqual((done.result(), done.written), (UNSUPP, 1))
        self.assertEqual(self.do(self.ring, T_IN, room=512).result(), OK)

    def test_unknown_flags_of_ranges(self):
        for kind, flags in ((T_DISCARD, 1), (T_DISCARD, 2), (T_ZEROES, 2),
                            (T_ZEROES, 1 << 31)):
            done = self.do(self.ring, kind, out=ranges((0, 8, flags)))
            self.assertEqual(done.result(), UNSUPP)
        self.assertEqual(self.on_image(0, 8192), self.content[:8192])

    def test_errors_change_nothing(self):
        end = self.sectors
        some = os.urandom(1024)
        bad = [(T_OUT, end, some), (T_OUT, end - 1, some),
               (T_OUT, 1 << 55, some), (T_OUT, (1 << 64) - 1, some),
               (T_OUT, 0, some[:1000]), (T_DISCARD, 0, ranges((end, 1, 0))),
               (T_ZEROES, 0, ranges((0, 8, 0), (end - 1, 2, 0))),
               (T_ZEROES, 0, ranges((0, 8, 0), ((1 << 55) + 1, 1, 0))),
               (T_ZEROES, 0, ranges((0, 0xffffffff, 0))),
               (T_ZEROES, 0, ranges((0, 8, 0))[:15]),
               (T_ZEROES, 0, ranges(*[(0, 8, 0)] * 17))]
        for kind, sector, out in bad:
            done = self.do(self.ring, kind, sector, out=out)
            self.assertEqual(done.result(), IOERR, (kind, sector, len(out)))
        for sector in (end - 1, end, 1 << 55, 1 << 63):
            done = self.do(self.ring, T_IN, sector, room=1024)
            self.assertEqual(done.result(), IOERR, sector)
        self.assertEqual(self.on_image(0, self.image_size), self.content)

    def test_buffers_cut_anywhere(self):
        """What is where counts, not in how many buffers."""
        request = Request(self.memory, T_OUT, 7, out=os.urandom(1024))
        header, data = request.buffers[0].address, request.buffers[1].address
        request.buffers = [
            Buffer(header, 5, False), Buffer(header + 5, 11, False),
            Buffer(data, 1, False), Buffer(data + 1, 1000, False),
            Buffer(data + 1001, 23, False), Buffer(request.status, 1, True)]
        request.submit(self.ring)
        self.ring.reap()
        self.assertEqual(request.result(), OK)
        self.assertEqual(self.on_image(7 * SECTOR, 1024),
                         self.memory.read(data, 1024))

    def test_header_and_data_in_one(self):
        place = self.memory.allocate(16 + 512)
        content = os.urandom(512)
        self.memory.write(place, struct.pack('<IIQ', T_OUT, 0, 2) + content)
        status = self.memory.allocate(1)
        head, _ = self.ring.chain([Buffer(place, 528, False),
                                   Buffer(status, 1, True)])
        self.ring.submit(head)
        self.ring.reap()
        self.assertEqual(self.memory.get('<B', status), OK)
        self.assertEqual(self.on_image(1024, 512), content)

    def test_data_and_status_in_one(self):
        request = Request(self.memory, T_IN, 1, room=513)
        request.buffers = [request.buffers[0],
                           Buffer(request.data, 513, True)]
        request.submit(self.ring)
        self.assertEqual(self.ring.reap(), (request.head, 513))
        self.assertEqual(request.came_in(), self.content[512:1024] + b'\0')

    def test_buffer_across_regions(self):
        for offset in (256, 1, 4095):
            request = Request(self.memory, T_IN, 8, room=8192)
            place = self.memory.seam - offset
            request.buffers[1] = Buffer(place, 8192, True)
            request.submit(self.ring)
            self.assertEqual(self.ring.reap()[1], 8193)
            self.assertEqual(request.result(), OK)
            self.assertEqual(self.memory.read(place, 8192),
                             self.content[4096:12288])
            self.ring.free += request.numbers

    def test_misaligned_memory(self):
        request = Request(self.memory, T_IN, 8, room=8192 + 3)
        request.buffers[1] = Buffer(request.data + 3, 8192, True)
        request.submit(self.ring)
        self.ring.reap()
        self.assertEqual(request.result(), OK)
        self.assertEqual(request.came_in()[3:], self.content[4096:12288])

    def test_indirect(self):
        done = self.do(self.ring, T_IN, 8, room=4096, indirect=True)
        self.assertEqual(done.result(), OK)
        self.assertEqual(done.came_in(), self.content[4096:8192])

    def test_as_many_segments_as_offered(self):
        segments = struct.unpack('<I', self.front.config(12, 4))[0]
        self.assertGreaterEqual(segments, 126)
        request = Request(self.memory, T_IN, 0, room=segments * 512)
        request.buffers[1:2] = [Buffer(request.data + i * 512, 512, True)
                                for i in range(segments)]
        request.submit(self.ring, indirect=True)
        self.ring.reap()
        self.assertEqual(request.result(), OK)
        self.assertEqual(request.came_in(), self.content[:segments * 512])


class Configuration(vhost.Case):
    def test_space(self):
        front = self.connect()
        space = front.config(0, 60)
        self.assertEqual(struct.unpack_from('<Q', space, 0)[0],
                         self.image_size // SECTOR)
        self.assertIn(struct.unpack_from('<I', space, 20)[0], (512, 4096))
        self.assertEqual(space[32], 1)  # the write cache is on
        self.assertEqual(struct.unpack_from('<H', space, 34)[0], 4)
        self.assertEqual(front.ask_number(vhost.GET_QUEUE_NUM), 4)
        self.assertEqual(front.config(20, 4), space[20:24])
        self.assertEqual(front.config(60, 8), bytes(8))
        # No payload says: there is no such part.
        self.assertEqual(front.config(250, 7), b'')
        self.assertEqual(front.config(0xffffffff, 2), b'')

    def set(self, front, offset, content, flags=0):
        front.tell(vhost.SET_CONFIG,
                   struct.pack('<III', offset, len(content), flags) + content)

    def test_write_cache_switch(self):
        front = self.connect(vhost.CONFIG_WCE)
        ring = self.make_ring(front)
        # A flag of 1 is what an emulator sets after a migration.
        for state, flags in ((b'\0', 0), (b'\1', 0), (b'\0', 1), (b'\1', 1)):
            self.set(front, 32, state, flags)
            self.assertEqual(front.config(32, 1), state)
            content = os.urandom(4096)
            self.assertEqual(self.do(ring, T_OUT, 8, out=content).result(), OK)
            self.assertEqual(self.on_image(4096, 4096), content)

    def test_write_cache_switch_outlives_the_server(self):
        """The driver has set it, and does not know of another server."""
        front = self.connect(vhost.CONFIG_WCE)
        kept = Log(front, 2, 8)
        self.addCleanup(kept.close)
        for state in (b'\0', b'\1'):
            self.set(front, 32, state)
            self.server.kill()
            self.assertEqual(self.server.process.returncode, -signal.SIGKILL)
            front.close()
            self.start_server()
            front = self.connect(vhost.CONFIG_WCE)
            self.assertEqual(front.config(32, 1), b'\1')
            kept.give(front)
            self.assertEqual(front.config(32, 1), state)

    def test_nothing_else_is_written(self):
        front = self.connect(vhost.CONFIG_WCE)
        before = front.config(0, 60)
        for offset, content in ((0, b'\0' * 8), (20, b'\0\2\0\0'),
                                (32, b'\2'), (32, b'\0\0'), (31, b'\0'),
                                (0xffffffff, b'\0')):
            for flags in (0, 1):
                with self.assertRaises(Refused):
                    self.set(front, offset, content, flags)
        self.assertEqual(front.config(0, 60), before)

    def test_features(self):
        offered = FrontEnd(self.server.path)
        bits = offered.ask_number(vhost.GET_FEATURES)
        for bit in (vhost.BLK_SIZE, vhost.FLUSH, vhost.CONFIG_WCE, vhost.MQ,
                    vhost.WRITE_ZEROES, vhost.INDIRECT, vhost.EVENT_IDX,
                    vhost.PROTOCOL_FEATURES, vhost.VERSION_1):
            self.assertTrue(bits >> bit & 1, bit)
        self.assertFalse(bits >> vhost.RO & 1)
        self.assertEqual(offered.ask_number(vhost.GET_PROTOCOL_FEATURES),
                         vhost.PROTOCOL)
        offered.begin(bits)  # all of them at once
        offered.close()

    def test_refusals_are_answered(self):
        """And the connection goes on."""
        front = self.connect()
        for request, payload in (
                (vhost.SET_FEATURES, struct.pack('<Q', 1 << 63)),
                (vhost.SET_VRING_NUM, struct.pack('<II', 4, 8)),
                (vhost.SET_VRING_NUM, struct.pack('<II', 0, 1025)),
                (77, b'')):
            with self.assertRaises(Refused):
                front.tell(request, payload)
        done = self.do(self.make_ring(front), T_IN, room=512)
        self.assertEqual(done.came_in(), self.content[:512])


class TwoQueues(vhost.Case):
    options = ['--queues', '2']

    def test_no_third(self):
        front = self.connect(vhost.MQ)
        self.assertEqual(front.ask_number(vhost.GET_QUEUE_NUM), 2)
        self.assertEqual(front.config(34, 2), b'\2\0')
        for index in range(2):
            done = self.do(self.make_ring(front, index), T_IN, room=512)
            self.assertEqual(done.came_in(), self.content[:512])
        with self.assertRaises(Refused):
            front.tell(vhost.SET_VRING_NUM, struct.pack('<II', 2, 8))


class ReadOnly(vhost.Case):
    options = ['--read-only']

    def test_nothing_changes(self):
        front = self.connect(vhost.RO)
        ring = self.make_ring(front)
        self.assertTrue(front.offered >> vhost.RO & 1)
        self.assertFalse(front.offered >> vhost.DISCARD & 1)
        self.assertFalse(front.offered >> vhost.WRITE_ZEROES & 1)
        for kind, out in ((T_OUT, bytes(512)), (T_DISCARD, ranges((0, 8, 0))),
                          (T_ZEROES, ranges((0, 8, 0)))):
            self.assertEqual(self.do(ring, kind, out=out).result(), IOERR)
        done = self.do(ring, T_IN, room=4096)
        self.assertEqual((done.result(), done.came_in()),
                         (OK, self.content[:4096]))
        self.assertEqual(self.do(ring, T_FLUSH).result(), OK)
        self.assertEqual(self.on_image(0, self.image_size), self.content)


class Buffered(Commands):
    options = ['--buffered']


class Rings(vhost.Case):
    def test_round_and_round(self):
        """Past the ring's end, and past that of its 16-bit index."""
        ring = self.make_ring(self.connect(), size=8, base=65530)
        for i in range(100):
            done = self.do(ring, T_IN, i, room=512)
            self.assertEqual(done.came_in(),
                             self.content[i * 512:i * 512 + 512])
        self.assertEqual(ring.used_index(), (65530 + 100) % 65536)

    def test_silence_where_none_listens(self):
        front = self.connect()
        ring = self.make_ring(front)
        self.memory.put('<H', ring.avail, 1)
        for _ in range(5):
            self.do(ring, T_ID, room=20)
        self.assertEqual(ring.stop(front), 5)
        self.assertEqual(ring.notifications(), 1)  # that of the start

    def test_event_index_of_the_driver(self):
        for event, wanted in ((2, 1), (4, 1), (5, 0)):
            front = self.connect(vhost.EVENT_IDX)
            ring = self.make_ring(front, event_idx=True)
            vhost.wait_until(ring.notifications, 'that of the start')
            ring.want_notification_after(event)
            for _ in range(5):
                self.do(ring, T_ID, room=20)
            if wanted:  # while it serves, not when it stops
                vhost.wait_until(lambda: select.select(
                    [ring.call_fd], [], [], 0)[0], 'a notification')
            ring.stop(front)
            self.assertEqual(ring.notifications(), wanted)
            front.close()

    def test_event_index_of_the_device(self):
        ring = self.make_ring(self.connect(vhost.EVENT_IDX), event_idx=True)
        for i in range(1, 21):
            self.do(ring, T_ID, room=20)
            vhost.wait_until(lambda: ring.avail_event() == i,
                             'the server to ask for a kick')

    def test_no_kick_without_need(self):
        """Who kicks only when asked to is served all the same."""
        for features, event_idx in (((vhost.EVENT_IDX,), True), ((), False)):
            front = self.connect(*features)
            ring = self.make_ring(front, event_idx=event_idx)
            for _ in range(300):
                self.do(ring, T_ID, room=20)
            front.close()

    def test_stop_and_go_on(self):
        front = self.connect()
        ring = self.make_ring(front)
        for i in range(3):
            self.assertEqual(self.do(ring, T_IN, i, room=512).result(), OK)
            self.assertEqual(ring.stop(front), 2 * i + 1)
            # Nobody looks at it now.
            late = Request(self.memory, T_ID, room=20).submit(ring)
            front.ask_number(vhost.GET_QUEUE_NUM)
            self.assertEqual(late.result(), 0xff)
            ring.kick()
            ring.start(front)
            ring.reap()
            self.assertEqual(late.result(), OK)
            ring.free += late.numbers

    def test_a_pause(self):
        ring = self.make_ring(self.connect())
        os.kill(self.server.process.pid, signal.SIGUSR1)
        vhost.wait_until(lambda: 'paused' in self.server.log(), 'the pause')
        late = Request(self.memory, T_IN, room=512).submit(ring)
        ring.kick()
        time.sleep(0.05)  # for a server that does not heed it
        self.assertEqual((ring.used_index(), late.result()), (0, 0xff))
        os.kill(self.server.process.pid, signal.SIGUSR1)
        ring.reap()
        self.assertEqual(late.came_in(), self.content[:512])

    def test_the_next_emulator_waits(self):
        first = self.connect()
        ring = self.make_ring(first)
        second = FrontEnd(self.server.path)
        second.send(vhost.GET_QUEUE_NUM)
        self.assertEqual(self.do(ring, T_IN, room=512).result(), OK)
        first.close()
        self.assertEqual(second.receive(vhost.GET_QUEUE_NUM)[0],
                         struct.pack('<Q', 4))
        second.close()

    def test_the_end_waits_for_what_was_taken(self):
        ring = self.make_ring(self.connect(), size=64)
        content = os.urandom(65536)
        some = [Request(self.memory, T_OUT, 128 * i, out=content).submit(ring)
                for i in range(10)]
        vhost.wait_until(lambda: ring.used_index() > 0, 'the first')
        self.assertEqual(self.server.stop(), 0)
        taken = ring.used_index()
        done = [i for i, one in enumerate(some) if one.result() == OK]
        self.assertEqual(len(done), taken)
        for i in done:
            self.assertEqual(self.on_image(i * 65536, 65536), content)

    def test_reply_ack_only_when_agreed(self):
        front = FrontEnd(self.server.path)
        front.send(vhost.SET_OWNER, flags=vhost.VERSION | vhost.NEED_REPLY)
        self.assertEqual(front.ask_number(vhost.GET_QUEUE_NUM), 4)
        # Without it, being refused is being left.
        front.send(vhost.SET_VRING_NUM, struct.pack('<II', 77, 8),
                   flags=vhost.VERSION | vhost.NEED_REPLY)
        front.expect_hang_up()
        front.close()


class Model(vhost.Case):
    """Many at once through several queues, compared with what a disk is."""
    SLOTS, PART = 12, 128  # of the disk, each with a request of its own

    def some_request(self, slot):
        start = slot * self.PART
        sector = random.randrange(self.PART)
        count = random.randrange(1, self.PART - sector + 1)
        place = slice((start + sector) * SECTOR,
                      (start + sector + count) * SECTOR)
        kind = random.choice((T_IN, T_IN, T_OUT, T_OUT, T_ZEROES, T_FLUSH))
        if kind == T_IN:
            request = Request(self.memory, kind, start + sector,
                              room=count * SECTOR)
            request.expected = bytes(self.disk[place])
        elif kind == T_OUT:
            content = random.randbytes(count * SECTOR)
            request = Request(self.memory, kind, start + sector, out=content)
            self.disk[place] = content
        elif kind == T_ZEROES:
            request = Request(self.memory, kind, out=ranges(
                (start + sector, count, random.randrange(2))))
            self.disk[place] = bytes(count * SECTOR)
        else:
            request = Request(self.memory, kind)
        return request

    def round(self, rings):
        start = self.memory.next
        wanted = []
        for slot in range(self.SLOTS):
            ring = random.choice(rings)
            request = self.some_request(slot)
            request.submit(ring, indirect=random.random() < 0.5)
            wanted.append((ring, request))
        for ring, _ in wanted:
            ring.reap()
        for ring, request in wanted:
            ring.free += request.numbers
            self.assertEqual(request.result(), OK)
            if request.room:
                self.assertEqual(request.came_in(), request.expected)
        self.memory.next = start

    def test_model(self):
        seed = int(os.environ.get('IOQ_TEST_SEED', time.time()))
        print('IOQ_TEST_SEED is', seed)
        random.seed(seed)
        self.disk = bytearray(self.content)
        front = self.connect(*ALL)
        rings = [self.make_ring(front, i, size=64, event_idx=True)
                 for i in range(3)]
        for _ in range(40):
            self.round(rings)
        self.assertEqual(self.on_image(0, self.image_size), self.disk)


LOG_HEADER, LOG_ENTRY = 16, 16


class Log:
    """The in-flight log, as this emulator keeps it."""

    def __init__(self, front, queues, size):
        self.queues, self.size = queues, size
        front.send(vhost.GET_INFLIGHT_FD,
                   struct.pack('<QQHHI', 0, 0, queues, size, 0))
        answer, self.fd = front.receive(vhost.GET_INFLIGHT_FD)
        self.described = answer
        self.offset = struct.unpack_from('<QQ', answer)[1]
        self.give(front)

    def give(self, front):
        front.tell(vhost.SET_INFLIGHT_FD, self.described, [self.fd])

    def close(self):
        os.close(self.fd)

    def read(self, form, place):
        content = os.pread(self.fd, struct.calcsize(form),
                           self.offset + place)
        return struct.unpack(form, content)

    def write(self, form, place, *values):
        os.pwrite(self.fd, struct.pack(form, *values), self.offset + place)

    def in_flight(self):
        return [head for head in range(self.size)
                if self.read('<B', LOG_HEADER + LOG_ENTRY * head)[0]]

    def take(self, head, counter):
        self.write('<B5xHQ', LOG_HEADER + LOG_ENTRY * head, 1, 0, counter)

    def last(self, head, used):
        self.write('<HH', 12, head, used)


class Reconnect(vhost.Case):
    """The server is killed, and started again. What state it had reached by
    then, the test makes: the memory that tells of it is the test's own."""

    def setUp(self):
        super().setUp()
        front = self.connect()
        self.kept = Log(front, 1, 16)
        self.addCleanup(self.kept.close)
        self.ring = self.make_ring(front)
        for _ in range(3):
            self.do(self.ring, T_ID, room=20)
        self.server.kill()
        front.close()

    def go_on(self):
        self.start_server()
        front = FrontEnd(self.server.path)
        self.addCleanup(front.close)
        front.begin(1 << vhost.PROTOCOL_FEATURES | 1 << vhost.VERSION_1)
        self.kept.give(front)
        front.share(self.memory)
        self.ring.base = 0  # what an emulator knows that nobody has told
        self.ring.start(front)
        return front

    def offered(self, count, kind=T_ID, **what):
        """Requests that are in the ring, which nobody was told of."""
        some = []
        for _ in range(count):
            request = Request(self.memory, kind, **(what or {'room': 20}))
            request.head, request.numbers = self.ring.chain(request.buffers)
            self.ring.offer(request.head)
            some.append(request)
        self.ring.publish()
        return some

    def expect(self, requests):
        """These and no others are given back, in this order."""
        for request in requests:
            self.assertEqual(self.ring.reap()[0], request.head)
            self.assertEqual(request.result(), OK)
            self.ring.free += request.numbers
        self.do(self.ring, T_IN, room=512)
        self.assertEqual(self.ring.used_index(), self.ring.seen)
        self.assertEqual(self.kept.in_flight(), [])

    def test_idle(self):
        self.go_on()
        self.expect([])
        self.assertNotIn('done over', self.server.log())

    def test_what_it_notes(self):
        """Which chain was given back last: the next server looks at that."""
        self.go_on()
        for _ in range(3):
            done = self.do(self.ring, T_ID, room=20)
            vhost.wait_until(lambda: self.kept.read('<HH', 12) ==
                             (done.head, self.ring.seen), 'a note')

    def test_before_it_took_any(self):
        some = self.offered(2)
        self.go_on()
        self.expect(some)

    def test_after_it_took_one(self):
        some = self.offered(2)
        self.kept.take(some[0].head, 3)
        self.go_on()
        self.expect(some)
        self.assertIn('queue 0: 1 requests are done over', self.server.log())

    def test_after_the_entry_and_before_the_index(self):
        one, = self.offered(1)
        self.kept.take(one.head, 3)
        self.kept.last(one.head, 3)
        self.memory.put('<II', self.ring.used + 4 + 8 * 3, one.head, 21)
        self.go_on()
        self.expect([one])

    def test_after_the_index_and_before_the_log(self):
        """It was given back: a driver that sees it twice goes mad."""
        one, other = self.offered(2)
        for i, request in enumerate((one, other)):
            self.kept.take(request.head, 3 + i)
        self.kept.last(one.head, 3)
        self.memory.put('<II', self.ring.used + 4 + 8 * 3, one.head, 21)
        self.memory.put('<H', self.ring.used + 2, 4)
        self.assertEqual(self.ring.reap()[0], one.head)
        self.go_on()
        self.expect([other])

    def test_oldest_first(self):
        some = self.offered(5)
        order = [4, 0, 2, 1, 3]
        for age, i in enumerate(order):
            self.kept.take(some[i].head, 100 + age)
        self.go_on()
        self.expect([some[i] for i in order])

    def test_newer_ones_come_after(self):
        some = self.offered(4)
        self.kept.take(some[1].head, 7)
        self.kept.take(some[0].head, 8)
        self.go_on()
        self.expect([some[1], some[0], some[2], some[3]])

    def test_a_write_is_done(self):
        content = os.urandom(4096)
        one, = self.offered(1, T_OUT, sector=8, out=content)
        self.kept.take(one.head, 3)
        self.go_on()
        self.expect([one])
        self.assertEqual(self.on_image(4096, 4096), content)

    def test_notified_of_what_the_dead_one_gave_back(self):
        self.ring.notifications()
        self.go_on()
        vhost.wait_until(self.ring.notifications, 'a notification')

    def test_killed_again_and_again(self):
        content = [os.urandom(65536) for _ in range(4)]
        for number in range(6):
            self.go_on()
            start = self.memory.next
            some = [Request(self.memory, T_OUT, 128 * i,
                            out=content[(i + number) % 4]).submit(self.ring)
                    for i in range(4)]
            if number % 2:
                vhost.wait_until(
                    lambda: self.ring.used_index() != self.ring.seen, 'one')
            self.server.kill()
            front = self.go_on()
            for _ in some:
                self.ring.reap()
            for i, request in enumerate(some):
                self.assertEqual(request.result(), OK)
                self.assertEqual(self.on_image(65536 * i, 65536),
                                 content[(i + number) % 4])
                self.ring.free += request.numbers
            self.assertEqual(self.kept.in_flight(), [])
            self.memory.next = start
            self.server.kill()
            front.close()
        self.go_on()


if __name__ == '__main__':
    vhost.main(vhost.Case)
