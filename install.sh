#!/usr/bin/env bash
# Installs rad-engineer for the current user, without root, from the checkout this script lies in, or from what
# --from names. Uses uv if it is there, else pipx, else an environment of its own with a link in ~/.local/bin.
# Running it again upgrades; configuration and state stay. uninstall.sh takes everything away again.
#
# All of it is one function, called on the last line: half a script does nothing.

install_rad_engineer() {
  set -euo pipefail

  say() { printf '%s\n' "$*" >&2; }
  die() {
    say "install.sh: $*"
    exit 1
  }
  has() { command -v "$1" >/dev/null 2>&1; }

  usage() {
    cat <<'TEXT'
Usage: install.sh [--from PATH|WHEEL] [--using uv|pipx|venv] [--python PYTHON]

Installs rad-engineer for the current user, without root.

  --from PATH|WHEEL       a checkout, an sdist or a wheel; without it, the checkout this script lies in
  --using uv|pipx|venv    how; without it, the first of them that is there
  --python PYTHON         the Python to run it with; without it, the newest of at least 3.11
  --find-python           only print that Python, or what is missing, and the command that installs it
TEXT
  }

  # --- what is there, what is missing -------------------------------------------------------------------------

  fits() { # whether this Python is new enough, and can make an environment where that is needed
    local modules='ensurepip, venv'
    [ "$using" != uv ] || modules='venv'
    "$1" -c "import sys, $modules; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1
  }

  find_python() {
    local name
    for name in ${python:-python3.14 python3.13 python3.12 python3.11 python3}; do
      if has "$name" && fits "$name"; then
        echo "$name"
        return
      fi
    done
  }

  new_enough() { # git
    local version major minor
    version=$(git --version 2>/dev/null) || return 1
    version=${version#git version }
    major=${version%%.*}
    minor=${version#*.}
    minor=${minor%%.*}
    [ "$major" -gt 2 ] 2>/dev/null || { [ "$major" = 2 ] && [ "$minor" -ge 38 ]; } 2>/dev/null
  }

  missing() { # prints what is missing and the one command that installs all of it; nothing when all is there
    local what='' apt='' brew='' dnf='' zypper='' pacman='' apk='' install='' sudo='sudo '
    [ "$(id -u)" != 0 ] || sudo=''
    if [ -z "$(find_python)" ]; then
      what='Python 3.11 or newer' apt='python3.11-venv' brew='python@3.13' dnf='python3.12' zypper='python312'
      pacman='python' apk='python3'
      if ! has python3; then
        apt='python3-venv'
      elif python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        what='the venv module of python3' apt='python3-venv' dnf='python3-libs' zypper='python3-base'
      fi
    fi
    if ! new_enough; then
      what="${what:+$what, }git 2.38 or newer"
      apt="$apt git" brew="$brew git" dnf="$dnf git" zypper="$zypper git" pacman="$pacman git" apk="$apk git"
    fi
    [ -n "$what" ] || return 0
    if has apt-get; then
      install="${sudo}apt-get install -y $apt"
    elif has dnf; then
      install="${sudo}dnf install -y $dnf"
    elif has zypper; then
      install="${sudo}zypper install -y $zypper"
    elif has pacman; then
      install="${sudo}pacman -S --needed $pacman"
    elif has apk; then
      install="${sudo}apk add $apk"
    elif has brew; then
      install="brew install $brew"
    fi
    echo "missing: $what${install:+; this installs it: $(echo $install)}"
  }

  # --- the three ways -----------------------------------------------------------------------------------------

  with_uv() {
    say "installing with uv and $("$python" --version 2>&1)"
    uv tool install --quiet --force --reinstall --compile-bytecode --python "$(command -v "$python")" "$source"
    bin=$(uv tool dir --bin)
  }

  with_pipx() {
    say "installing with pipx and $("$python" --version 2>&1)"
    pipx install --force --python "$(command -v "$python")" "$source" >/dev/null
    bin=$(pipx environment --value PIPX_BIN_DIR 2>/dev/null) || bin=${PIPX_BIN_DIR:-$HOME/.local/bin}
  }

  with_venv() {
    local data=${XDG_DATA_HOME:-$HOME/.local/share}/rad-engineer link environment old
    bin=${XDG_BIN_HOME:-$HOME/.local/bin}
    link=$bin/rad-engineer
    if [ -e "$link" ] || [ -L "$link" ]; then
      case $(readlink "$link") in
        "$data"/*) ;;
        *) die "$link is there and was not made by this script; remove it first" ;;
      esac
    fi
    mkdir -p "$data" "$bin"
    environment=$(mktemp -d "$data/venv-XXXXXX")
    trap "rm -rf $(printf %q "$environment")" EXIT # until it is complete, the old one stays
    say "installing into $environment with $("$python" --version 2>&1)"
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install -qq --disable-pip-version-check --no-input "$source" >&2
    "$environment/bin/rad-engineer" --version >/dev/null
    ln -s "$environment/bin/rad-engineer" "$environment/link"
    mv -f "$environment/link" "$link"
    trap - EXIT
    for old in "$data"/venv-*; do
      [ "$old" = "$environment" ] || rm -rf "$old"
    done
  }

  # --- the order of things ------------------------------------------------------------------------------------

  local source='' using='' python='' bin='' only_python='' here lacking
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --using | --python)
        [ $# -gt 1 ] || die "$1 wants a value; see install.sh --help"
        case $1 in
          --from) source=$2 ;;
          --using) using=$2 ;;
          --python) python=$2 ;;
        esac
        shift 2
        ;;
      --find-python)
        only_python=yes
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) die "no such option: $1; see install.sh --help" ;;
    esac
  done
  unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER PIP_REQUIRE_VIRTUALENV PIP_NO_COMPILE

  if [ -n "$only_python" ]; then
    using=venv
  elif [ -z "$using" ]; then
    if has uv; then using=uv; elif has pipx; then using=pipx; else using=venv; fi
  fi
  case $using in
    uv | pipx) has "$using" || die "there is no $using; without --using, another way is taken" ;;
    venv) ;;
    *) die "--using $using: expected uv, pipx or venv" ;;
  esac

  lacking=$(missing)
  [ -z "$lacking" ] || die "$lacking"
  python=$(find_python)
  if [ -n "$only_python" ]; then
    echo "$python"
    exit 0
  fi

  if [ -z "$source" ]; then
    [ -f "${BASH_SOURCE[0]:-}" ] || die 'nothing to install from: name a checkout or a wheel with --from'
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    grep -q '^name = "rad-engineer"$' "$here/pyproject.toml" 2>/dev/null ||
      die "$here is no checkout of rad-engineer: name one, or a wheel, with --from"
    source=$here
  fi
  [ -e "$source" ] || die "there is no $source"
  source=$(cd "$(dirname "$source")" && pwd)/$(basename "$source")

  "with_$using"
  say "installed: $("$bin/rad-engineer" --version), $bin/rad-engineer"
  case :$PATH: in
    *":$bin:"*) ;;
    *) say "hint: $bin is not on your PATH; add it: export PATH=\"$bin:\$PATH\"" ;;
  esac
}

install_rad_engineer "$@"
