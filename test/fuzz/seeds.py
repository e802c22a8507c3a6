# SPDX-License-Identifier: LGPL-2.1-or-later
"""seeds.py FOLDER

Writes the inputs that fuzzing starts from to FOLDER/ring and FOLDER/socket:
what a well-behaved guest and a well-behaved emulator do.
"""
import os
import struct
import sys

NEXT, WRITE, INDIRECT = 1, 2, 4
HEADER, DATA, STATUS, TABLE = 0x2000, 0x2800, 0x2100, 0x2400
TYPES = {'read': 0, 'write': 1, 'flush': 4, 'id': 8, 'discard': 11,
         'zeroes': 13, 'unknown': 99}


def descriptor(address, length, flags, following=0):
    return struct.pack('<QIHH', address, length, flags, following)


def chain(kind, header, data, status):
    incoming = WRITE if kind in ('read', 'id') else 0
    length = {'read': 1024, 'write': 1024, 'id': 20, 'discard': 32,
              'zeroes': 16}.get(kind, 0)
    parts = [(header, 16, 0)]
    if length:
        parts.append((data, length, incoming))
    parts.append((status, 1, WRITE))
    rows = [descriptor(a, n, f | (NEXT if i + 1 < len(parts) else 0), i + 1)
            for i, (a, n, f) in enumerate(parts)]
    return b''.join(rows)


def memory_of(kind, indirect):
    """The guest's memory from HEADER on."""
    content = bytearray(0x1000)
    content[0:16] = struct.pack('<IIQ', TYPES[kind], 0, 8)
    if indirect:
        table = chain(kind, HEADER, DATA, STATUS)
        content[TABLE - HEADER:TABLE - HEADER + len(table)] = table
    if kind in ('discard', 'zeroes'):
        content[0x800:0x820] = struct.pack('<QIIQII', 8, 8, 0, 16, 8, 0)
    return bytes(content[:0x820])


def ring_seed(kind, indirect, choice):
    size = 8
    table = chain(kind, HEADER, DATA, STATUS)
    if indirect:
        table = descriptor(TABLE, len(table), INDIRECT)
    table = table.ljust(size * 16, b'\0')
    available = struct.pack('<HH', 0, 1).ljust(4 + 2 * size + 2, b'\0')
    steps = struct.pack('<H', 0)
    log = b'\0' * 128 if choice & 8 else b''
    return (struct.pack('<HBB', choice, 3, len(steps)) + steps + log + table +
            available + memory_of(kind, indirect))


def message(request, payload, fds=0, flags=1):
    return struct.pack('<BBBH', request, flags, fds, len(payload)) + payload


def socket_seed(kind, acknowledge):
    flags = 9 if acknowledge else 1
    one, event = 1, 133  # 133 % 11 is 1, and from 128 on it is an eventfd
    protocol = (1 << 0) | (1 << 3) | (1 << 9) | (1 << 12)
    available = struct.pack('<HHH', 0, 1, 0)
    memory = bytearray(0x600)
    memory[0x200:0x210] = struct.pack('<IIQ', TYPES[kind], 0, 8)
    memory[0:128] = chain(kind, 0x10200, 0x10800, 0x10300).ljust(128, b'\0')
    memory[0x100:0x106] = available
    for log in (0x400, 0x4c0):
        memory[log + 8:log + 12] = struct.pack('<HH', 1, 8)
    rows = [
        message(1, b''), message(15, b''),
        message(16, struct.pack('<Q', protocol)), message(17, b''),
        message(3, b''),
        message(2, struct.pack('<Q', (1 << 32) | (1 << 30) | (3 << 28)),
                0, flags),
        message(24, struct.pack('<III', 0, 60, 0) + b'\0' * 60),
        message(25, struct.pack('<III', 32, 1, 0) + b'\0', 0, flags),
        message(31, struct.pack('<QQHHI', 0, 0, 2, 128, 0)),
        message(32, struct.pack('<QQHHI', 448, 0x400, 2, 8, 0), one,
                flags),
        message(5, struct.pack('<II4Q', 1, 0, 0x10000, 0x8000, 0x70000, 0),
                one, flags),
        message(8, struct.pack('<II', 0, 8)),
        message(10, struct.pack('<II', 0, 0)),
        message(9, struct.pack('<IIQQQQ', 0, 0, 0x70000, 0x70180, 0x70100, 0)),
        message(13, struct.pack('<Q', 0), event),
        message(14, struct.pack('<Q', 0), event),
        message(12, struct.pack('<Q', 0), event),
        message(18, struct.pack('<II', 0, 1), 0, flags),
        message(11, struct.pack('<II', 0, 0)),
        message(4, b''),
    ]
    return struct.pack('<BBH', 0, 0, len(memory)) + bytes(memory) + b''.join(
        rows)


def save(folder, name, content):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as file:
        file.write(content)


def main():
    for kind in TYPES:
        for indirect in (False, True):
            for choice in (3, 7, 15, 3 | 1 << 9 | 1 << 11):
                save(os.path.join(sys.argv[1], 'ring'),
                     f'{kind}-{int(indirect)}-{choice}',
                     ring_seed(kind, indirect, choice))
        for acknowledge in (False, True):
            save(os.path.join(sys.argv[1], 'socket'),
                 f'{kind}-{int(acknowledge)}', socket_seed(kind, acknowledge))


main()
