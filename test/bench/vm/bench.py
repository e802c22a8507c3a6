# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py CONSOLE GUEST_PID VARIANT=PID...

Follows the guest's console, reads the processor time of each server at the
guest's marks, and prints medians and ratios. The disks vda, vdb, ... are those
of the variants, in this order.

A ratio is the median of those within one round, so that what else the machine
does in that second meets both sides.
"""
import os
import platform
import statistics
import sys
import time
from collections import defaultdict

DAEMON = 'qsd-'
SAME_ENGINE = {'ioq-aio': 'qsd-native', 'ioq-io_uring': 'qsd-io_uring',
               'ioq-threads': 'qsd-threads'}


def cpu_ns(pid):
    """All threads' user and system time: clock_getcpuclockid's clock."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def machine_seconds():
    """What all processors did since boot: seconds of work, and of all."""
    with open('/proc/stat') as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    hertz = os.sysconf('SC_CLK_TCK')
    return (sum(ticks) - ticks[3] - ticks[4]) / hertz, sum(ticks) / hertz


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
    """{(variant, load): [(rate, us of the server's and of the emulator's for
    each request)]}, and the emulator's time in all, as far as it was seen."""
    rows, before, emulator = defaultdict(list), None, 0
    for line in follow(path, guest):
        words = line.split()
        if len(words) == 3 and words[0] == 'begin':
            variant, pid = servers[ord(words[1][2]) - ord('a')]
            before = cpu_ns(pid), cpu_ns(guest)
        elif len(words) == 5 and words[0] == 'rate' and before is not None:
            emulator = cpu_ns(guest)
            us = (1e-3 * (cpu_ns(pid) - before[0]),
                  1e-3 * (emulator - before[1]))
            rows[variant, words[2]].append(
                (float(words[3]), *(spent / int(words[4]) for spent in us)))
            before = None
    return rows, emulator


def ratio(rows, variant, other, load, column):
    return statistics.median(
        mine[column] / theirs[column]
        for mine, theirs in zip(rows[variant, load], rows[other, load]))


def worst(rows, variant, load, column, pick):
    """To the daemon that looks best beside this variant."""
    daemons = {v for v, _ in rows if v.startswith(DAEMON)}
    return pick((ratio(rows, variant, daemon, load, column)
                 for daemon in daemons), default=float('nan'))


def print_table(rows, variants, loads):
    for title, column, pick in (
            ("requests/s in the guest, and of the fastest daemon's", 0, min),
            ("server's CPU for each, us, and of the cheapest daemon's", 1,
             max),
            ("emulator's CPU for each, us, likewise", 2, max)):
        print(f'\n{title}:\n{"":14}' + ''.join(f'{l:>17}' for l in loads))
        for variant in variants:
            line = f'{variant:14}'
            for load in loads:
                value = statistics.median(
                    row[column] for row in rows[variant, load])
                line += (f'{value:12.{min(column, 1)}f}'
                         f'{worst(rows, variant, load, column, pick):5.2f}')
            print(line)


def print_engines(rows, variants, loads):
    pairs = [pair for pair in SAME_ENGINE.items() if set(pair) <= set(variants)]
    if not pairs:
        return
    print("\nrate and CPU, of the same engine's in the daemon:\n" + ' ' * 14 +
          ''.join(f'{l:>17}' for l in loads))
    for mine, theirs in pairs:
        print(f'{mine:14}' + ''.join(
            f'{ratio(rows, mine, theirs, load, 0):12.2f}'
            f'{ratio(rows, mine, theirs, load, 1):5.2f}' for load in loads))


def print_machine(rounds, before, own_ns):
    work, total = (b - a for a, b in zip(before, machine_seconds()))
    print(f'\nmedians of {rounds} rounds. {platform.system()} '
          f'{platform.release()}, {os.cpu_count()} CPUs, which worked '
          f'{work / total:.0%} of the time: {own_ns / 1e9 / total:.0%} for '
          f'this,\n{(work - own_ns / 1e9) / total:.0%} for others')


def main():
    guest = int(sys.argv[2])
    servers = [(name, int(pid)) for name, pid in
               (word.split('=') for word in sys.argv[3:])]
    pids = [pid for _, pid in servers]
    before, own = machine_seconds(), sum(map(cpu_ns, pids))
    rows, emulator = measure(sys.argv[1], guest, servers)
    if not rows:
        sys.exit('bench.py: the guest printed no rates')
    variants = [name for name, _ in servers]
    loads = list(dict.fromkeys(load for _, load in rows))
    print_table(rows, variants, loads)
    print_engines(rows, variants, loads)
    print_machine(min(map(len, rows.values())), before,
                  sum(map(cpu_ns, pids)) + emulator - own)


main()
