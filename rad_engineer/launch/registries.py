"""The registries that setup commands fetch packages from, as the user's own clients are configured: never their tokens.

A box does not see those files, so what matters of them is told inside by variables.
"""

import configparser
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rad_engineer.sandbox import hosts

_DEFAULT_PORTS = {"https": 443, "http": 80}
_AUTHORITIES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)


@dataclass(slots=True)
class Registry:
    """Where one is reached, and how clients inside are told."""

    urls: list[str] = field(default_factory=list)  # of which the hosts are granted
    variables: dict[str, str] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)  # files and folders of this machine
    proxy: str = ""

    @property
    def hosts(self) -> list[str]:
        """As a grant names them; one that has no name but an address cannot be granted."""
        found: dict[str, None] = {}
        for url in self.urls:
            parts = urlsplit(url.removeprefix("sparse+"))
            if hosts.name(parts.hostname or "") and parts.scheme in _DEFAULT_PORTS:
                found[f"{parts.hostname}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"] = None
        return [*found]

    def to_json(self) -> dict[str, Any]:
        """The form in the rules of a run."""
        return {"hosts": self.hosts, "variables": self.variables, "read": self.read, "proxy": self.proxy}

    @property
    def told(self) -> str:
        """For whoever is asked to trust it."""
        return ", ".join([*self.hosts, *self.read])


def find(name: str, env: Mapping[str, str]) -> Registry:
    """One of them, as the files and variables of the user have it."""
    home = Path(env.get("HOME") or "/")
    found = _FOUND[name](env, home)
    for variable in _AUTHORITIES:
        if env.get(variable):
            found.variables[variable] = env[variable]
            found.read.append(env[variable])
    found.read = [each for each in dict.fromkeys(found.read) if Path(each).exists()]
    return found


def _pypi(env: Mapping[str, str], home: Path) -> Registry:
    said: dict[str, str] = {}
    for file in _pip_files(env, home):
        said |= _ini(file)
    for key in ("index-url", "extra-index-url", "find-links", "cert", "proxy"):
        variable = f"PIP_{key.upper().replace('-', '_')}"
        said |= {key: env[variable]} if env.get(variable) else {}
    index = env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL") or said.get("index-url")
    more = [*said.get("extra-index-url", "").split(), *env.get("UV_EXTRA_INDEX_URL", "").split()]
    links = said.get("find-links", "").split()
    main = _plain(index) if index else "https://pypi.org/simple"
    found = Registry([main, *map(_plain, [*more, *links])], proxy=_open_proxy(said.get("proxy", "")))
    found.urls += [] if index else ["https://files.pythonhosted.org"]
    found.variables = {"PIP_INDEX_URL": main, "UV_DEFAULT_INDEX": main, "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                       "PIP_NO_INPUT": "1"}  # fmt: skip
    for variable, urls in {
        "PIP_EXTRA_INDEX_URL": more,
        "PIP_FIND_LINKS": links,
        "UV_FIND_LINKS": links,
    }.items():
        between = "," if variable.startswith("UV") else " "
        found.variables |= {variable: between.join(map(_plain, urls))} if urls else {}
    found.read = [path for path in (_local(url, home) for url in [*more, *links, main]) if path]
    if said.get("cert"):
        found.variables["PIP_CERT"] = said["cert"]
        found.read.append(said["cert"])
    return found


def _pip_files(env: Mapping[str, str], home: Path) -> Iterator[Path]:
    yield from (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip" / "pip.conf")
    yield Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if env.get("VIRTUAL_ENV"):
        yield Path(env["VIRTUAL_ENV"]) / "pip.conf"
    if env.get("PIP_CONFIG_FILE"):
        yield Path(env["PIP_CONFIG_FILE"])


def _ini(file: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8", errors="replace"))
    except (OSError, configparser.Error):
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        found |= dict(parser[section]) if parser.has_section(section) else {}
    return {key.replace("_", "-"): value for key, value in found.items()}


def _npm(env: Mapping[str, str], home: Path) -> Registry:
    said: dict[str, str] = {}
    try:
        text = Path(env.get("NPM_CONFIG_USERCONFIG") or home / ".npmrc").read_text(
            encoding="utf-8", errors="replace"
        )
    except OSError:
        text = ""
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";", "//")):
            said[key.strip()] = value.strip().strip('"')
    for key in ("registry", "cafile", "https-proxy"):
        variable = f"npm_config_{key.replace('-', '_')}"
        given = env.get(variable) or env.get(variable.upper())
        said |= {key: given} if given else {}
    main = _plain(said.get("registry") or "https://registry.npmjs.org/")
    scopes = {
        key: _plain(value) for key, value in said.items() if key.startswith("@") and key.endswith(":registry")
    }
    found = Registry([main, *scopes.values()], proxy=_open_proxy(said.get("https-proxy", "")))
    found.urls += [] if said.get("registry") else ["https://registry.yarnpkg.com"]
    found.variables = {
        "npm_config_registry": main,
        "YARN_NPM_REGISTRY_SERVER": main,
        "npm_config_update_notifier": "false",
    }
    found.variables |= {f"npm_config_{key}": value for key, value in scopes.items()}
    if said.get("cafile"):
        found.variables |= {"npm_config_cafile": said["cafile"], "NODE_EXTRA_CA_CERTS": said["cafile"]}
        found.read = [said["cafile"]]
    return found


def _crates(env: Mapping[str, str], home: Path) -> Registry:
    folder = Path(env.get("CARGO_HOME") or home / ".cargo")
    said: dict[str, Any] = {}
    for name in ("config", "config.toml"):
        try:
            said = tomllib.loads((folder / name).read_text(encoding="utf-8", errors="replace"))
        except (OSError, tomllib.TOMLDecodeError):
            continue
    http = said.get("http", {})
    found = Registry(proxy=_open_proxy(str(http.get("proxy", ""))))
    sources, name = said.get("source", {}), "crates-io"
    for _ in range(len(sources)):
        name = str(sources.get(name, {}).get("replace-with", name))
    index = sources.get(name, {}).get("registry") or said.get("registries", {}).get(name, {}).get("index")
    found.urls = [_plain(str(index))] if index else ["https://index.crates.io", "https://static.crates.io"]
    if http.get("cainfo"):
        found.variables["CARGO_HTTP_CAINFO"] = str(http["cainfo"])
        found.read = [str(http["cainfo"])]
    return found


def _plain(url: str) -> str:
    """A URL without who asks and their token."""
    scheme, between, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{between}{place.rpartition('@')[2]}{slash}{path}" if between else url


def _local(url: str, home: Path) -> str:
    """The path of what is no address of a network; the files of an index lie beside its pages."""
    path = Path(unquote(urlsplit(url).path) if url.startswith("file://") else url)
    if not path.is_absolute():
        return ""
    beside = path.name == "simple" and not home.is_relative_to(path.parent)
    return str(path.parent if beside else path)


def _open_proxy(url: str) -> str:
    """A proxy that needs no password: one is not written into the rules of a run."""
    return url if url and "@" not in url else ""


_FOUND: dict[str, Callable[[Mapping[str, str], Path], Registry]] = {
    "pypi": _pypi,
    "npm": _npm,
    "crates": _crates,
}
