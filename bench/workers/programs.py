"""A whole program, started and ended: arguments like NAME=VALUE for its environment, then those for the interpreter."""

import os
import subprocess
import sys

from bench.worker import repeat, serve

given = sys.argv[1:]
settings = [each for each in given if "=" in each and each.partition("=")[0].isupper()]
environment = {**os.environ, **dict(each.split("=", 1) for each in settings)}
command = [sys.executable, *given[len(settings) :]]
serve({"program": repeat(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment))})
