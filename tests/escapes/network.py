"""Reaching listeners outside by every family of sockets. Each of them was opened by whoever plays the attempts."""

from tests.escapes import Attempt, heard, prints, says


def _reach(name: str, script: str, without: str = "network", only: str = "") -> Attempt:
    return Attempt(name, script, heard, without, only=only)


def _open(name: str, family: int, kind: int, protocol: int, only: str = "") -> Attempt:
    return Attempt(name, f"socket.socket({family}, {kind}, {protocol})\ngot()", says(), "filter", only=only)


NETLINK = """
import struct
def netlink(protocol, kind, body):
    link = socket.socket(16, 3, protocol)
    link.settimeout(3)
    link.send(struct.pack('IHHII', 16 + len(body), kind, 0x301, 1, 0) + body)
    found = b''
    while True:
        data = link.recv(65536)
        found += data
        if struct.unpack_from('H', data, 4)[0] in (2, 3): return found
"""

NETWORK = [
    _reach("TCP", "send(socket.socket(), ('127.0.0.1', told['tcp']))"),
    _reach("TCP with the first bytes in its greeting",
           "s = socket.socket()\ntry: s.sendto(nonce.encode(), 0x20000000, ('127.0.0.1', told['tcp']))\n"
           "except OSError: send(socket.socket(), ('127.0.0.1', told['tcp']))"),
    _reach("TCP by any address", "send(socket.socket(), ('0.0.0.0', told['tcp']))"),
    _reach("TCP by a name", "send(socket.socket(), ('localhost', told['tcp']))"),
    _reach("TCP over IPv6", "send(socket.socket(10), ('::1', told['tcp6']))"),
    _reach("TCP by an address of both worlds", "send(socket.socket(10), ('::ffff:127.0.0.1', told['tcp']))"),
    _reach("TCP of many paths", "send(socket.socket(2, 1, 262), ('127.0.0.1', told['tcp']))"),
    _reach("UDP", "send(socket.socket(2, 2), ('127.0.0.1', told['udp']))"),
    _reach("UDP over IPv6", "send(socket.socket(10, 2), ('::1', told['udp6']))"),
    _reach("UDP-Lite", "send(socket.socket(2, 2, 136), ('127.0.0.1', told['lite']))"),
    _reach("UDP from a shell", "import subprocess\nsubprocess.run(['bash', '-c', f'echo {nonce} >/dev/udp/127.0.0.1/{told[\"udp\"]}'])"),
    _reach("raw IP", "socket.socket(2, 3, 253).sendto(nonce.encode(), ('127.0.0.1', 0))", only="root"),
    _reach("ICMP", "import struct\nsocket.socket(2, 3, 1).sendto(struct.pack('>BBHHH', 8, 0, 0, 1, 1) + nonce.encode(), ('127.0.0.1', 0))", only="root"),
    _reach("frames", """s = socket.socket(17, 3, 0)
s.bind(('lo', 0x88b5))
s.send(bytes(12) + b'\\x88\\xb5' + nonce.encode())""", only="root"),
    _reach("a Unix socket by its path", "send(socket.socket(1), told['unix'])", "mounts"),
    _reach("datagrams to a Unix socket", "send(socket.socket(1, 2), told['datagrams'])", "mounts"),
    _reach("packets to a Unix socket", "send(socket.socket(1, 5), told['packets'])", "mounts"),
    _reach("a Unix socket without a path", "send(socket.socket(1), '\\0' + told['abstract'])"),
    _reach("datagrams to one without a path", "send(socket.socket(1, 2), '\\0' + told['abstract'] + '2')"),
    Attempt("the control socket of the gateway", "send(socket.socket(1), told['gateway'] + '/gateway.sock')\ngot()", says(), "mounts"),
    Attempt("listening for the outside", """s = socket.socket()
s.bind(('127.0.0.1', told['free']))
s.listen()
print('READY', flush=True)
s.settimeout(1)
s.accept()[0].send(nonce.encode())""", lambda world, _: world.answered, "network", meanwhile=lambda world: world.call_in()),
    Attempt("a descriptor from somebody outside", """s = socket.socket(1)
s.settimeout(3)
s.connect('\\0' + told['abstract'] + '3')
print(os.read(socket.recv_fds(s, 10, 1)[1][0], 99).decode())""", prints("ssh"), "network"),
    Attempt("which interfaces there are", NETLINK + "print(netlink(0, 18, bytes(16)))",
            lambda world, output: bool(world.interface) and world.interface in output, "network"),
    Attempt("who listens outside", """print(*(line.split()[1] for line in open('/proc/net/tcp')))""",
            lambda world, output: f":{world.told['tcp']:04X} " in output, "network"),
    Attempt("who listens outside, asking the kernel", NETLINK + "print(netlink(4, 20, struct.pack('BBBBI', 2, 6, 0, 0, 1 << 10) + bytes(48)).hex())",
            lambda world, output: f"{world.told['tcp']:04x}00007f000001" in output, "filter"),
    _open("a socket to the hypervisor", 40, 1, 0),
    _open("a socket of the firewall", 16, 3, 12),
    _open("a socket of the audit system", 16, 3, 9),
    _open("a socket that hears of devices", 16, 3, 15),
    _open("a socket of the generic kind", 16, 3, 16),
    _open("a socket past the kernel's network", 44, 3, 0, only="root"),
]  # fmt: skip

TOKENS = [
    _reach("another story's token, from an environment", """token = next(word for word in open(f'/proc/{pid}/environ').read().split('\\0') if word.startswith('TOKEN=rad-'))
ask(token.partition('=')[2])""", "processes"),
    _reach("another story's token, from a file", "ask(open(told['run'] + '/stories/B/token').read())", "mounts"),
    _reach("a token that was given by mistake", "ask(told['token'])"),
    _reach("a token sealed by itself", """import base64, hashlib, hmac
def text(data): return base64.urlsafe_b64encode(data).rstrip(b'=').decode()
claim = text(json.dumps(['B', 1, 'run']).encode())
seal = hmac.digest(open(told['gateway'] + '/secret', 'rb').read(), claim.encode(), hashlib.sha256)
ask(f'rad-{claim}.{text(seal)}')""", "mounts"),
]  # fmt: skip
