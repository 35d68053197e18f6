"""What is planted in a slot for whoever runs git on it outside. The trap is a program that leaves a mark there."""

from tests.escapes import Attempt

PREPARE = """
import subprocess
trap, marks, project = told['slot'] + '/trap', told['marks'], told['project']
open('trap', 'w').write(f'#!/bin/sh\\ntouch {marks}/{nonce}\\ncat\\n')
os.chmod('trap', 0o755)
open('README.md', 'a').write('work\\n')
def git(*words): subprocess.run(['git', '-c', 'safe.directory=*', '-c', 'user.name=x', '-c', 'user.email=x@example.org', *words], capture_output=True)
def config(text): open('.git/config', 'a').write(text)
def save(path, text):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    open(path, 'w').write(text)
def hook(name):
    os.makedirs('.git/hooks', exist_ok=True)
    os.symlink(trap, '.git/hooks/' + name)
"""


def _plants(name: str, script: str) -> Attempt:
    """The trap must not run, the user's repository must stay as it is, no secret of it may be staged, nothing may hang."""
    return Attempt(name, PREPARE + script, lambda world, _output: world.harmed(), "trusted git")


NESTED = """
git('init', '-q', 'vendor/x')
save('vendor/x/.gitattributes', '* filter=p\\n')
open('vendor/x/.git/config', 'a').write(f'[filter "p"]\\n\\tclean = {trap}\\n')
save('vendor/x/file', 'x')
"""

HOST_GIT = [
    _plants("a hook that runs before a commit", "hook('pre-commit')"),
    _plants("a hook that sees every reference", "hook('reference-transaction')"),
    _plants("a hook that runs after the index is written", "hook('post-index-change')"),
    _plants("another folder for hooks", "save('own/pre-commit', open('trap').read())\nos.chmod('own/pre-commit', 0o755)\n"
            "config('[core]\\n\\thooksPath = own\\n')"),
    _plants("a monitor of files", "config(f'[core]\\n\\tfsmonitor = {trap}\\n')"),
    _plants("a filter", "config(f'[filter \"p\"]\\n\\tclean = {trap}\\n')\nsave('.gitattributes', '* filter=p\\n')"),
    _plants("a filter that goes on", "config(f'[filter \"p\"]\\n\\tprocess = {trap}\\n')\nsave('.gitattributes', '* filter=p\\n')"),
    _plants("a filter by attributes of its own", "config(f'[filter \"p\"]\\n\\tclean = {trap}\\n')\nsave('.git/info/attributes', '* filter=p\\n')"),
    _plants("a filter by attributes elsewhere",
            "config(f'[core]\\n\\tattributesFile = attributes\\n[filter \"p\"]\\n\\tclean = {trap}\\n')\nsave('attributes', '* filter=p\\n')"),
    _plants("a filter from an included file", "config('[include]\\n\\tpath = ../more\\n')\n"
            "save('more', f'[filter \"p\"]\\n\\tclean = {trap}\\n')\nsave('.gitattributes', '* filter=p\\n')"),
    _plants("a filter if the folder is right", "config('[includeIf \"gitdir:**\"]\\n\\tpath = ../more\\n')\n"
            "save('more', f'[filter \"p\"]\\n\\tclean = {trap}\\n')\nsave('.gitattributes', '* filter=p\\n')"),
    _plants("a filter in the configuration of a work tree", "config('[extensions]\\n\\tworktreeConfig = true\\n')\n"
            "save('.git/config.worktree', f'[filter \"p\"]\\n\\tclean = {trap}\\n')\nsave('.gitattributes', '* filter=p\\n')"),
    _plants("a program that compares", "config(f'[diff]\\n\\texternal = {trap}\\n')"),
    _plants("a program that makes text", "config(f'[diff \"p\"]\\n\\ttextconv = {trap}\\n')\nsave('.gitattributes', '* diff=p\\n')"),
    _plants("a program that signs", "config(f'[commit]\\n\\tgpgSign = true\\n[gpg]\\n\\tprogram = {trap}\\n')"),
    _plants("an upstream that is a program", "config(f'[protocol \"ext\"]\\n\\tallow = always\\n[remote \"origin\"]\\n\\turl = ext::{trap}\\n')"),
    _plants("a program that packs at the upstream", "config(f'[remote \"origin\"]\\n\\turl = .\\n\\tuploadpack = {trap}\\n')"),
    _plants("a program that reaches the upstream", "config(f'[core]\\n\\tsshCommand = {trap}\\n[remote \"origin\"]\\n\\turl = ssh://localhost/x\\n')"),
    _plants("a submodule with a monitor of its own", "git('init', '-q', 's')\nsave('s/file', 'x')\ngit('-C', 's', 'add', 'file')\n"
            "git('-C', 's', 'commit', '-qm', 'x')\nsave('.gitmodules', '[submodule \"s\"]\\n\\tpath = s\\n\\turl = ./s\\n')\n"
            "git('add', 's')\nopen('s/.git/config', 'a').write(f'[core]\\n\\tfsmonitor = {trap}\\n')"),
    _plants("objects that are promised by a program", "config(f'[core]\\n\\trepositoryFormatVersion = 1\\n[extensions]\\n\\tpartialClone = p\\n"
            "[protocol \"ext\"]\\n\\tallow = always\\n[remote \"p\"]\\n\\turl = ext::{trap}\\n\\tpromisor = true\\n')\n"
            "git('update-index', '--add', '--cacheinfo', '100644', '2' * 40, 'promised')"),
    _plants("another work tree", "config(f'[core]\\n\\tworktree = {project}\\n')\ngit('rm', '-q', '--cached', 'README.md')"),
    _plants("a .git that is a link to the user's", "os.rename('.git', 'old')\nos.symlink(project + '/.git', '.git')"),
    _plants("a .git that is a file naming the user's", "os.rename('.git', 'old')\nsave('.git', f'gitdir: {project}/.git\\n')"),
    _plants("a directory shared with the user's", "save('.git/commondir', project + '/.git\\n')"),
    _plants("references that are links to the user's", "import shutil\nshutil.rmtree('.git/refs')\nos.symlink(project + '/.git/refs', '.git/refs')"),
    _plants("a repository inside with a filter", NESTED),
    _plants("the same, after it was added once", NESTED + "git('-C', 'vendor/x', 'add', 'file')\ngit('-C', 'vendor/x', 'commit', '-qm', 'x')\n"
            "git('add', 'vendor/x')\nsave('vendor/x/file', 'y')"),
    _plants("the user's objects by alternates", "save('.git/objects/info/alternates', project + '/.git/objects\\n')\n"
            "git('update-index', '--add', '--cacheinfo', '100644', told['blob'], 'stolen')\ngit('update-index', '--skip-worktree', 'stolen')"),
    _plants("a pipe for attributes", "os.mkfifo('.gitattributes')"),
    _plants("a pipe for what is ignored", "os.path.exists('.gitignore') and os.remove('.gitignore')\nos.mkfifo('.gitignore')"),
    _plants("a pipe for its configuration", "os.remove('.git/config')\nos.mkfifo('.git/config')"),
    _plants("a pipe for its head", "os.remove('.git/HEAD')\nos.mkfifo('.git/HEAD')"),
    _plants("a configuration without end", "config('[include]\\n\\tpath = /dev/zero\\n')"),
    _plants("15 GB of nothing", "os.truncate(os.open('huge', os.O_CREAT | os.O_RDWR), 15 << 30)"),
    _plants("an index that is locked for ever", "save('.git/index.lock', '')"),
]  # fmt: skip
