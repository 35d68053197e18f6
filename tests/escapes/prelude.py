"""Comes before every attempt: what it was told, and system calls by number."""

import ctypes
import json
import os
import socket
import sys

told = json.loads(sys.argv[1])
nonce = told["nonce"]
pid = told["pid"]
C = ctypes
libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    """A system call; raises OSError."""
    ctypes.set_errno(0)
    given = [each if isinstance(each, (bytes, ctypes.Array)) else ctypes.c_long(each) for each in arguments]
    answer = libc.syscall(ctypes.c_long(number), *given)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def got():
    """The kernel has granted it."""
    print("GOT", flush=True)


def send(sock, address):
    """Says the word there."""
    sock.settimeout(3)
    sock.connect(address)
    sock.send(nonce.encode())


def ask(token):
    """Asks the gateway outside for an answer, with its word."""
    message = {"role": "user", "content": nonce}
    body = json.dumps({"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [message]})
    head = f"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    server = socket.create_connection(("127.0.0.1", told["door"]), 20)
    server.sendall((head + body).encode())
    while data := server.recv(65536):
        print(data[:99])
