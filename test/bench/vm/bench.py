# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py CONSOLE GUEST_PID VARIANT=PID...

Follows the guest's console, reads the processor time of each server at the
guest's marks, and prints medians and ratios. The disks vda, vdb, ... are those
of the variants, in this order.
"""
import os
import statistics
import sys
import time
from collections import defaultdict

DAEMON = 'qsd-'


def cpu_ns(pid):
    """All threads' user and system time: clock_getcpuclockid's clock."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def follow(path, pid):
    """The console's lines, as they come, until the emulator has ended."""
    rest, ended = '', False
    with open(path, errors='replace') as console:
        while True:
            text = console.read()
            *lines, rest = (rest + text).split('\n')
            yield from (line.strip('\r') for line in lines)
            if ended and not text:
                return
            try:
                with open(f'/proc/{pid}/stat') as stat:
                    ended = stat.read().rsplit(')', 1)[1].split()[0] == 'Z'
            except FileNotFoundError:
                ended = True
            time.sleep(0.02)


def measure(path, guest, servers):
    """{(variant, load): [(rate, us of the server's for each request)]}"""
    rows, before = defaultdict(list), None
    for line in follow(path, guest):
        words = line.split()
        if len(words) == 3 and words[0] == 'begin':
            variant, pid = servers[ord(words[1][2]) - ord('a')]
            before, start = cpu_ns(pid), time.monotonic()
        elif len(words) == 4 and words[0] == 'rate' and before is not None:
            spent = cpu_ns(pid) - before
            rate = float(words[3])
            count = rate * (time.monotonic() - start)
            rows[variant, words[2]].append((rate, spent / 1e3 / count))
            before = None
    return rows


def median(rows, variant, load, column):
    return statistics.median(row[column] for row in rows[variant, load])


def best(rows, daemons, load, column, pick):
    values = [median(rows, daemon, load, column) for daemon in daemons]
    return pick(values) if values else float('nan')


def print_table(rows, variants):
    loads = list(dict.fromkeys(load for _, load in rows))
    daemons = [v for v in variants if v.startswith(DAEMON)]
    for title, column, pick in (
            ("requests/s in the guest, and of the fastest daemon's", 0, max),
            ("server's CPU for each, us, and of the cheapest daemon's", 1,
             min)):
        print(f'\n{title}:\n{"":14}' + ''.join(f'{l:>18}' for l in loads))
        for variant in variants:
            line = f'{variant:14}'
            for load in loads:
                value = median(rows, variant, load, column)
                line += (f'{value:12.{column}f}'
                         f' {value / best(rows, daemons, load, column, pick):5.2f}')
            print(line)
    counts = {len(row) for row in rows.values()}
    print(f'\nmedians of {min(counts)} rounds in turn, {os.cpu_count()} CPUs')


def main():
    servers = [(name, int(pid)) for name, pid in
               (word.split('=') for word in sys.argv[3:])]
    rows = measure(sys.argv[1], int(sys.argv[2]), servers)
    if not rows:
        sys.exit('bench.py: the guest printed no rates')
    print_table(rows, [name for name, _ in servers])


main()
