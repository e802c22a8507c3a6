# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the checks share: how to run a command, to skip, and to end."""
import os
import re
import shutil
import subprocess
import sys


def run(command, **options):
    """Runs a command and returns its output; ends the check if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(f'status {done.returncode}: {" ".join(map(str, command))}')
    return done.stdout


def strict():
    return os.environ.get('IOQ_TEST_NO_SKIP') == '1'


def skip(reason):
    print('skipped:', reason)
    sys.exit(1 if strict() else 77)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            skip(f'no {tool} here')


def finish(problems):
    """Ends the check; problems are lines for the reader."""
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


def without_comments(text):
    """C text with comments and literals blanked out; lines stay lines."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
                       r"|'(?:\\.|[^'\\\n])*'", re.S)
    return token.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)
