"""A whole program, started and ended; its arguments to the interpreter are ours."""

import subprocess
import sys

from bench.worker import repeat, serve

command = [sys.executable, *sys.argv[1:]]
serve({"program": repeat(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))})
