"""Reading what is not in the slot, and writing there."""

from tests.escapes import Attempt, prints, says, writes


def _read(name: str, secret: str, path: str, without: str = "mounts") -> Attempt:
    return Attempt(name, f"print(open({path}).read())", prints(secret), without)


def _write(name: str, where: str, script: str, without: str = "mounts") -> Attempt:
    return Attempt(name, f"path = told['{where}']\n{script}", writes(where), without)


def _says_its_inode(world, output: str) -> bool:
    return f"inode {world.shadow} " in output


APPEND = "open(path, 'a').write(nonce)"

SECRETS = [
    _read("an ssh key", "ssh", "told['home'] + '/.ssh/id_ed25519'"),
    _read("a cloud's credentials", "cloud", "told['home'] + '/.cloud/credentials'"),
    _read("git's stored credentials", "credentials", "told['home'] + '/.git-credentials'"),
    _read("the history of a shell", "history", "told['home'] + '/.bash_history'"),
    _read("a prompt of another story", "prompt", "told['run'] + '/stories/B/prompt.md'"),
    _read("the secret that seals tokens", "seal", "told['gateway'] + '/secret'"),
    _read("what another slot holds", "neighbour", "told['other'] + '/answer.txt'"),
    _read("a file that the user never committed", "env", "told['project'] + '/.env'"),
    _read("through its own root", "ssh", "'/proc/self/root' + told['home'] + '/.ssh/id_ed25519'"),
    _read("up from its folder", "neighbour", "told['up'] + '/slots/2/answer.txt'"),
    Attempt(
        "by a link in its slot",
        "os.symlink(told['home'], 'link')\nprint(open('link/.ssh/id_ed25519').read())",
        prints("ssh"), "mounts",
    ),
    Attempt(
        "by a second name for it in its slot",
        "os.link(told['home'] + '/.ssh/id_ed25519', 'mine')\nprint(open('mine').read())",
        prints("ssh"), "mounts",
    ),
    Attempt(
        "by a folder's descriptor and ..",
        """here = os.open('.', os.O_RDONLY)
for _ in range(told['depth']): here = os.open('..', os.O_RDONLY, dir_fd=here)
print(open(os.open(told['home'][1:] + '/.ssh/id_ed25519', os.O_RDONLY, dir_fd=here)).read())""",
        prints("ssh"), "mounts",
    ),
    Attempt(
        "the user's stash",
        "import subprocess\nprint(subprocess.run(['git', '-c', 'safe.directory=*', '-C', told['project'], 'stash', 'show', '-p'],"
        " capture_output=True, text=True).stdout)",
        prints("stash"), "mounts",
    ),
    Attempt(
        "an object of the user's that no branch holds",
        "import subprocess\nprint(subprocess.run(['git', '-c', 'safe.directory=*', '-C', told['project'], 'cat-file', '-p',"
        " told['blob']], capture_output=True, text=True).stdout)",
        prints("blob"), "mounts",
    ),
    Attempt(
        "the same by alternates of its own",
        """import subprocess
subprocess.run(['git', 'init', '-q', '/tmp/own' + nonce])
open(f'/tmp/own{nonce}/.git/objects/info/alternates', 'w').write(told['project'] + '/.git/objects\\n')
print(subprocess.run(['git', '-C', '/tmp/own' + nonce, 'cat-file', '-p', told['blob']], capture_output=True, text=True).stdout)""",
        prints("blob"), "mounts",
    ),
    Attempt("the passwords of this machine", "print('inode', os.fstat(os.open('/etc/shadow', os.O_RDONLY)).st_ino, '')",
            _says_its_inode, "mounts", only="root"),
    _read("who has an account here", "account", "'/etc/passwd'", "accounts"),
    _read("what this machine is called", "hostname", "'/proc/sys/kernel/hostname'", "names"),
    _read("which number this machine has", "machine", "'/etc/machine-id'", "machine"),
    Attempt("what another box has in /tmp", "print(open('/tmp/rad-escapes-' + told['id']).read())", prints("tmp"), "tmp"),
    Attempt("what lies in shared memory", "print(open('/dev/shm/rad-escapes-' + told['id']).read())", prints("shm"), "shm"),
    Attempt(
        "by a file's handle",
        """import struct
handle = C.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128), 136)
mount = C.create_string_buffer(8)
call(303, -100, (told['home'] + '/.ssh/id_ed25519').encode(), handle, mount, 0)
print(os.read(call(304, os.open(told['home'], os.O_RDONLY), handle, os.O_RDONLY), 999).decode())""",
        prints("ssh"), "mounts", only="root",
    ),
    Attempt("raw from the disk", "os.open(told['disk'], os.O_RDONLY)\ngot()", says(), "mounts", only="root"),
    Attempt("what devices there are", "os.listdir('/sys/block')\ngot()", says(), "sys"),
]  # fmt: skip

WRITES = [
    _write("into the user's shell", "bashrc", APPEND),
    _write("a hook for the user's git", "hook", APPEND),
    _write("the configuration of the user's git", "config", APPEND),
    _write("into another slot", "answer", APPEND),
    _write("the trusted git of another slot", "trusted", APPEND),
    _write("a line for the journal", "journal", APPEND),
    _write("a checkpoint that says done", "checkpoint", "open(path + '.new', 'w').write(nonce)\nos.rename(path + '.new', path)"),
    _write("up from its folder ", "planted", "open(told['up'] + '/planted', 'a').write(nonce)"),
    _write("by a link in its slot ", "bashrc", "os.symlink(path, 'way')\nopen('way', 'a').write(nonce)"),
    _write("by a second name in its slot", "bashrc", "os.link(path, 'second')\nopen('second', 'a').write(nonce)"),
    _write("through its own root ", "bashrc", "open('/proc/self/root' + path, 'a').write(nonce)"),
    _write("into what all stories read", "store", "open(told['store_inside'] + '/file', 'a').write(nonce)", "read-only"),
    _write("into that by its second name", "store",
           "os.link(told['store_inside'] + '/file', told['store_inside'] + '/second')\n"
           "open(told['store_inside'] + '/second', 'a').write(nonce)", "read-only"),
    _write("into what setup has made", "made", "open('node_modules/file', 'a').write(nonce)", "read-only"),
    _write("in place of what setup has made", "made",
           "os.rename('node_modules/file', 'node_modules/old')\nopen('node_modules/file', 'a').write(nonce)", "read-only"),
    Attempt("a branch of the user's",
            "import subprocess\nsubprocess.run(['git', '-c', 'safe.directory=*', '-C', told['project'], 'branch', 'b' + nonce])",
            lambda world, _: world.branch("b" + world.nonce), "mounts"),
    Attempt("into shared memory", "open('/dev/shm/rad-escapes-' + told['id'], 'a').write(nonce)",
            lambda world, _: world.nonce in world.shared("/dev/shm"), "shm"),
    Attempt("into /tmp", "open('/tmp/rad-escapes-' + told['id'], 'a').write(nonce)",
            lambda world, _: world.nonce in world.shared("/tmp"), "tmp"),
    Attempt("what it was handed as its input", "open('/proc/self/fd/0', 'a').write(nonce)", writes("input"), "input"),
    Attempt("what it was handed, by its descriptor",
            "os.chmod('/proc/self/fd/0', 0o666)\n"
            "os.write(os.open('/proc/self/fd/0', os.O_WRONLY), nonce.encode())", writes("input"), "input"),
    Attempt("a descriptor that was left open",
            """for number in range(3, 64):
    try: os.pwrite(number, nonce.encode(), 0)
    except OSError: pass""", writes("left"), "descriptors"),
    Attempt("the folder of a descriptor that was left open",
            """for number in range(3, 64):
    try: print(open(os.open('.ssh/id_ed25519', os.O_RDONLY, dir_fd=number)).read())
    except OSError: pass""", prints("ssh"), "descriptors"),
    Attempt("a setting of the kernel",
            "os.open('/proc/sys/vm/swappiness', os.O_WRONLY)\ngot()", says(), "mounts", only="root"),
    Attempt("the system's programs", "open('/usr/rad-escapes-' + nonce, 'w')\ngot()\nos.unlink('/usr/rad-escapes-' + nonce)",
            says(), "mounts", only="root"),
]  # fmt: skip

ENVIRONMENT = [
    Attempt("a key in the environment", "print(dict(os.environ))", prints("key"), "environment"),
    Attempt("the user's home folder", "print('<' + os.environ.get('HOME', '') + '>')",
            lambda world, output: f"<{world.home}>" in output, "environment"),
    Attempt("the user's agent for ssh", "send(socket.socket(socket.AF_UNIX), os.environ['SSH_AUTH_SOCK'])",
            lambda world, _: world.nonce.encode() in world.listen(), "environment"),
    Attempt("the environment of who has started it", "for each in open(f'/proc/{os.getppid()}/environ').read().split('\\0'): print(each if 'RAD_RUN_MARK' in each else '')",
            prints("mark"), "dumpable"),
]  # fmt: skip
