"""Registries as the user's own clients are configured: hosts and certificates, and never a token."""

import json

import pytest

from rad_engineer.launch import registries

PIP = """
[global]
index-url = https://me:a-tok@packages.example.org/simple
extra-index-url = https://more.example.org:8443/simple
    file://{folder}/index/simple
[install]
find-links = {folder}/wheels
cert = {folder}/ca.pem
"""
NPM = """
; a comment
registry=https://npm.example.org/a/
@mine:registry = https://mine.example.org/
//npm.example.org/a/:_authToken=a-tok
cafile="{folder}/ca.pem"
https-proxy=http://proxy.example.org:3128
"""
CARGO = """
[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+https://crates.example.org/index/"
[registries.mirror]
token = "a-tok"
"""


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    for name in ("index/simple", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ca.pem").write_text("")
    for path, text in {".config/pip/pip.conf": PIP, ".npmrc": NPM, ".cargo/config.toml": CARGO}.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text.replace("{folder}", str(tmp_path)))
    return home


def test_python_packages(home, tmp_path):
    found = registries.find("pypi", {"HOME": str(home)})
    assert found.hosts == ["packages.example.org:443", "more.example.org:8443"]
    assert found.variables["PIP_INDEX_URL"] == "https://packages.example.org/simple"
    assert found.variables["PIP_FIND_LINKS"] == f"{tmp_path}/wheels"
    assert set(found.read) >= {f"{tmp_path}/index", f"{tmp_path}/wheels", f"{tmp_path}/ca.pem"}
    assert found.variables["PIP_CERT"] == f"{tmp_path}/ca.pem"


def test_a_variable_overrules_a_file(home):
    found = registries.find(
        "pypi", {"HOME": str(home), "PIP_INDEX_URL": "https://x:a-tok@other.example.org/simple"}
    )
    assert found.hosts == ["other.example.org:443", "more.example.org:8443"]
    found = registries.find("npm", {"HOME": str(home), "npm_config_registry": "https://other.example.org"})
    assert found.hosts == ["other.example.org:443", "mine.example.org:443"]


def test_node_packages(home, tmp_path):
    found = registries.find("npm", {"HOME": str(home)})
    assert found.hosts == ["npm.example.org:443", "mine.example.org:443"]
    assert found.variables["npm_config_registry"] == "https://npm.example.org/a/"
    assert found.variables["npm_config_@mine:registry"] == "https://mine.example.org/"
    assert found.read == [f"{tmp_path}/ca.pem"]
    assert found.proxy == "http://proxy.example.org:3128"


def test_crates(home):
    assert registries.find("crates", {"HOME": str(home)}).hosts == ["crates.example.org:443"]


def test_certificates_of_the_user_come_along(tmp_path):
    authority = tmp_path / "authority.pem"
    authority.write_text("")
    found = registries.find(
        "crates", {"HOME": str(tmp_path), "SSL_CERT_FILE": str(authority), "SSL_CERT_DIR": "/gone"}
    )
    assert found.variables["SSL_CERT_FILE"] == str(authority)
    assert found.read == [str(authority)]


@pytest.mark.parametrize("name", ["pypi", "npm", "crates"])
def test_no_token_comes_along(home, name):
    env = {
        "HOME": str(home),
        "PIP_PROXY": "http://me:a-tok@proxy",
        "NPM_CONFIG_HTTPS_PROXY": "http://me:a-tok@proxy",
    }
    found = registries.find(name, env)
    assert "a-tok" not in json.dumps(found.to_json()) + found.told


@pytest.mark.parametrize(("name", "host"), [("pypi", "pypi"), ("npm", "npmjs"), ("crates", "crates")])
def test_who_has_configured_nothing_uses_the_public_ones(tmp_path, name, host, monkeypatch):
    monkeypatch.setattr(registries, "_pip_files", lambda _env, _home: [])
    found = registries.find(name, {"HOME": str(tmp_path)}).hosts
    assert any(host in each and each.endswith(":443") for each in found)


@pytest.mark.parametrize("text", ["\x00", "[global", "index-url"])
def test_files_that_nobody_understands_say_nothing(home, text):
    for path in (".config/pip/pip.conf", ".npmrc", ".cargo/config.toml"):
        (home / path).write_text(text)
    for name in ("pypi", "npm", "crates"):
        assert registries.find(name, {"HOME": str(home)}).hosts


def test_an_address_is_not_granted(tmp_path):
    env = {"HOME": str(tmp_path), "npm_config_registry": "http://127.0.0.1:4873/"}
    assert registries.find("npm", env).hosts == []
