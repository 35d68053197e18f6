"""Runs many attempts in one command, each in a process of its own: a line of JSON with what it said for each."""

import json
import os
import select
import sys

given = json.load(sys.stdin)
sys.argv = ["", json.dumps(given["told"])]
known: dict[str, object] = {}
exec(given["prelude"], known)

for name, script in given["scripts"]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for number, source in enumerate((os.open("/dev/null", os.O_RDONLY), writer, writer)):
            os.dup2(source, number)
        os.close(reader)
        os.close(writer)
        exec(script, known)
        sys.stdout.flush()
        os._exit(0)
    os.close(writer)
    said = b""
    while select.select([reader], [], [], 5)[0] and (data := os.read(reader, 65536)):
        said += data
    os.close(reader)
    os.kill(child, 9)
    os.waitpid(child, 0)
    print(json.dumps([name, said[:4096].decode("utf-8", "replace")]), flush=True)
