#!/usr/bin/env bash
# Installs rad-engineer for the current user, without root: from the checkout this script lies in, from what --from names,
# or from the index that --index names; never by a bare name, which somebody else may own on an index that nobody chose.
# Uses uv if it is there, else pipx, else an environment of its own with a link in ~/.local/bin.
# Running it again upgrades: configuration and state stay, and a version that does not start is not kept.
# uninstall.sh takes everything away again. What it does on macOS is untested.
#
# All of it is one function, called on the last line: half a script does nothing.

install_rad_engineer() {
  set -euo pipefail

  say() { printf '%s\n' "$*" >&2; }
  die() {
    say "install.sh: $*"
    exit 1
  }
  wrong() { # the command line is
    say "install.sh: $*"
    exit 2
  }
  has() { command -v "$1" >/dev/null 2>&1; }

  usage() {
    cat <<'TEXT'
Usage: install.sh [--from PATH|WHEEL | --index URL [--version X]] [options]

Installs rad-engineer for the current user, without root.

  --from PATH|WHEEL       a checkout, an sdist or a wheel; without it, the checkout this script lies in
  --index URL             a package index: all that is installed comes from it
  --version X             this version of it; only with --index
  --extras NAME,…         optional parts: acp, copier, crypto, keyring, otel
  --using uv|pipx|venv    how; without it, the first of them that is there
  --python PYTHON         the Python to run it with; without it, the newest of at least 3.11
  --no-setup              do not ask anything; else `rad-engineer setup` follows the first installation, at a terminal
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
    local name names=(python3.14 python3.13 python3.12 python3.11 python3)
    [ -z "$python" ] || names=("$python")
    for name in "${names[@]}"; do
      if has "$name" && fits "$name"; then
        command -v "$name"
        return
      fi
    done
  }

  at_least() { # version, major, minor
    local major minor
    major=${1%%.*}
    minor=${1#*.}
    minor=${minor%%[!0-9]*}
    [ "$major" -gt "$2" ] 2>/dev/null || { [ "$major" = "$2" ] && [ "$minor" -ge "$3" ]; } 2>/dev/null
  }

  new_enough() { # git
    local version
    version=$(git --version 2>/dev/null) && at_least "${version#git version }" 2 38
  }

  offers() { # whether apt has this package in at least that version, as far as it knows packages at all
    local version
    has apt-cache && version=$(apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: *//p') || return 0
    [ -z "$version" ] || at_least "${version#*:}" "$2" "$3"
  }

  engine() { has docker || has podman || has orb; }

  missing() { # prints what is missing and the one command that installs all of it; nothing when all is there
    local what='' too_old='' apt='' brew='' dnf='' zypper='' pacman='' apk='' install='' sudo='sudo '
    [ "$(id -u)" != 0 ] || sudo=''
    if [ -z "$(find_python)" ]; then
      what='Python 3.11 or newer' apt='python3.11-venv' brew='python@3.13' dnf='python3.12' zypper='python312'
      pacman='python' apk='python3'
      if ! has python3; then
        apt='python3-venv'
      elif python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        what='the venv module of python3' apt='python3-venv' dnf='python3-libs' zypper='python3-base'
      fi
      offers python3 3 11 || too_old='Python'
    fi
    if ! new_enough; then
      what="${what:+$what, }git 2.38 or newer"
      apt="$apt git" brew="$brew git" dnf="$dnf git" zypper="$zypper git" pacman="$pacman git" apk="$apk git"
      offers git 2 38 || too_old="${too_old:+$too_old and }git"
    fi
    [ -n "$what" ] || return 0
    if [ "$(uname)" = Linux ] && ! has bwrap; then
      what="$what, bubblewrap (optional)"
      apt="$apt bubblewrap" dnf="$dnf bubblewrap" zypper="$zypper bubblewrap" pacman="$pacman bubblewrap"
      apk="$apk bubblewrap"
    fi
    if ! engine; then
      what="$what, a container engine (optional)"
      apt="$apt podman" brew="$brew podman" dnf="$dnf podman" zypper="$zypper podman" pacman="$pacman podman"
      apk="$apk podman"
    fi
    if has apt-get && [ -n "$too_old" ]; then
      echo "missing: $what; what apt-get has of $too_old here is too old: upgrade the system, or install newer ones by hand"
      return
    elif has apt-get; then
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
    read -r install <<<"${install//  / }"
    echo "missing: $what${install:+; this installs it: $install}"
  }

  optional() { # says what would be of use and is not there
    local name lacking='' agents=''
    [ "$(uname)" != Linux ] || has bwrap || lacking='bubblewrap (the better sandbox)'
    engine || lacking="${lacking:+$lacking, }a container engine (for deploy local)"
    for name in claude codex opencode gemini cursor-agent amp aider goose copilot qwen; do
      if has "$name"; then agents=yes; fi
    done
    [ -n "$agents" ] || lacking="${lacking:+$lacking, }a command-line agent (the built-in one needs only an API key)"
    [ -z "$lacking" ] || say "not found, and not needed: $lacking"
  }

  # --- where it comes from ------------------------------------------------------------------------------------

  find_places() { # a variable that does not begin at the root means nothing, as everybody reads it
    case ${HOME:-} in /*) ;; *) die 'HOME does not name a folder of yours: set it' ;; esac
    data=$HOME/.local/share bin=$HOME/.local/bin
    case ${XDG_DATA_HOME:-} in /*) data=$XDG_DATA_HOME ;; esac
    case ${XDG_BIN_HOME:-} in /*) bin=$XDG_BIN_HOME ;; esac
    data=$data/rad-engineer
  }

  find_source() {
    local here
    if [ -n "$version" ] && [ -z "$index" ]; then
      wrong '--version works only with --index: by its bare name anybody could offer a package'
    fi
    if [ -n "$index" ]; then
      [ -z "$source" ] || wrong '--from and --index contradict each other'
      case $index in *://*) ;; *) wrong "--index $index: expected a URL" ;; esac
      source=rad-engineer${extras:+[$extras]}${version:+==$version}
      # This index and no other: neither pip nor uv may find the name elsewhere.
      export PIP_INDEX_URL=$index PIP_EXTRA_INDEX_URL=$index UV_DEFAULT_INDEX=$index UV_NO_CONFIG=1
      unset UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_FIND_LINKS PIP_FIND_LINKS
      return
    fi
    if [ -z "$source" ]; then
      [ -f "${BASH_SOURCE[0]:-}" ] || wrong 'nothing to install from: name a checkout or a wheel with --from'
      here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
      ours "$here" || die "$here is no checkout of rad-engineer: name one, or a wheel, with --from"
      source=$here
    fi
    [ -e "$source" ] || die "there is no $source"
    source=$(cd "$(dirname "$source")" && pwd)/$(basename "$source")
    if [ -d "$source" ]; then
      source=$(cd "$source" && pwd)
      ours "$source" || die "$source is no checkout of rad-engineer: its pyproject.toml does not name it"
    else
      case ${source##*/} in
        rad_engineer-*.whl | rad_engineer-*.tar.gz) ;;
        *) die "$source is neither a wheel nor an sdist of rad-engineer" ;;
      esac
    fi
    source=$source${extras:+[$extras]}
  }

  ours() { grep -q '^name = "rad-engineer"$' "$1/pyproject.toml" 2>/dev/null; }

  # --- the three ways -----------------------------------------------------------------------------------------

  starts() { "$1" --version >/dev/null && "$1" --help >/dev/null; }

  compile() { # what the examples and templates hold is for others to run
    "$1" - <<'PYTHON' || say 'hint: not all of it could be compiled; the first start is slower'
import compileall, re, sysconfig
ours = re.compile(r"/rad_engineer/data/")
raise SystemExit(not compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0, rx=ours))
PYTHON
  }

  writable() { # folder, the variable that names it
    if ! mkdir -p "$1" 2>/dev/null || [ ! -w "$1" ]; then
      die "$1 cannot be written; name a folder of yours with $2"
    fi
  }

  # Whoever made the command that is there makes the next one too: only so the old one comes back.
  made_by() {
    case $(readlink "$bin/rad-engineer" 2>/dev/null) in
      "$data"/*) echo venv ;;
      */uv/tools/rad-engineer/*) echo uv ;;
      */pipx/venvs/rad-engineer/*) echo pipx ;;
    esac
  }

  # uv and pipx replace an environment where it lies: a copy of the old one comes back when the new one does not start.
  with_tool() { # folder of the environment, folder of the link, command
    local folder=$1 link=$2/rad-engineer target=''
    shift 2
    bin=${link%/*}
    if [ -d "$folder" ]; then
      ! in_use "$folder" || die "what runs from $folder would lose its files: stop it first"
      target=$(readlink "$link") || target=$folder/bin/rad-engineer
      # What an upgrade that was killed has left: its copy is the old one if what it was replacing does not start.
      if [ -d "$folder.before" ] && ! starts "$link" 2>/dev/null; then back "$folder" "$link" "$target"; fi
      rm -rf "$folder.before"
      # shellcheck disable=SC2064  # this name is gone when it is carried out
      trap "rm -rf $(printf %q "$folder.before")" EXIT
      cp -pR "$folder" "$folder.before"
      # shellcheck disable=SC2064  # and these
      trap "back $(printf '%q %q %q' "$folder" "$link" "$target")" EXIT
    fi
    "$@" >&2 || die 'it was not installed'
    compile "$folder/bin/python"
    starts "$link" || die "this version does not start${old_version:+; $old_version stays}"
    trap - EXIT
    rm -rf "$folder.before"
  }

  back() { # folder, link, target
    rm -rf "$1"
    mv "$1.before" "$1"
    if [ -n "$3" ]; then ln -sf "$3" "$2"; fi
    say "the version that was there before is back: $("$2" --version)"
  }

  with_uv() {
    say "installing with uv and $("$python" --version 2>&1)"
    with_tool "$(uv tool dir)/rad-engineer" "$(uv tool dir --bin)" \
      uv tool install --quiet --force --reinstall --python "$python" "$source"
  }

  with_pipx() {
    local venvs links
    say "installing with pipx and $("$python" --version 2>&1)"
    venvs=$(pipx environment --value PIPX_LOCAL_VENVS)
    links=$(pipx environment --value PIPX_BIN_DIR)
    with_tool "$venvs/rad-engineer" "$links" pipx install --force --pip-args='--no-compile --force-reinstall' --python "$python" "$source"
  }

  with_venv() {
    local link=$bin/rad-engineer environment old
    if [ -e "$link" ] || [ -L "$link" ]; then
      case $(readlink "$link") in
        "$data"/*) ;;
        *) die "$link is there and was not made by this script; remove it first" ;;
      esac
    fi
    writable "$data" XDG_DATA_HOME
    writable "$bin" XDG_BIN_HOME
    # The last one removes what it does not know: two at once would remove each other's.
    if ! ln -s "$$" "$data/installing" 2>/dev/null; then
      ! kill -0 "$(readlink "$data/installing")" 2>/dev/null ||
        die "another installation is going on; if it is not, remove $data/installing"
      ln -sfn "$$" "$data/installing"
    fi
    environment=$(mktemp -d "$data/venv-XXXXXX")
    # shellcheck disable=SC2064  # until it is complete, the old one stays
    trap "rm -rf $(printf '%q %q' "$environment" "$data/installing")" EXIT
    say "installing into $environment with $("$python" --version 2>&1)"
    local pip=("$python" -m pip --python "$environment/bin/python")
    if at_least "$("$python" -m pip --version 2>/dev/null | cut -d' ' -f2)" 22 3; then
      "$python" -m venv --without-pip "$environment"
    else
      "$python" -m venv "$environment"
      pip=("$environment/bin/python" -m pip)
    fi
    "${pip[@]}" install -qq --no-compile --disable-pip-version-check --no-input "$source" >&2
    compile "$environment/bin/python"
    starts "$environment/bin/rad-engineer" || die "this version does not start${old_version:+; $old_version stays}"
    ln -s "$environment/bin/rad-engineer" "$environment/link"
    # shellcheck disable=SC2064  # from here on it is the one that answers
    trap "rm -f $(printf %q "$data/installing")" EXIT
    mv -f "$environment/link" "$link"
    for old in "$data"/venv-*; do
      [ "$old" = "$environment" ] || in_use "$old" || rm -rf "$old"
    done
    rm -f "$data/installing"
    trap - EXIT
  }

  in_use() { # a run that goes on keeps its version; the next upgrade removes it
    [ -d /proc/self ] && grep -qsaF "$1/" /proc/[0-9]*/cmdline
  }

  # --- the order of things ------------------------------------------------------------------------------------

  local source='' index='' version='' extras='' using='' python='' data='' bin='' only_python='' setup=yes lacking old_version=''
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --index | --version | --extras | --using | --python)
        [ -n "${2:-}" ] || wrong "$1 wants a value; see install.sh --help"
        case $1 in
          --from) source=$2 ;;
          --index) index=$2 ;;
          --version) version=$2 ;;
          --extras) extras=$2 ;;
          --using) using=$2 ;;
          --python) python=$2 ;;
        esac
        shift 2
        ;;
      --no-setup)
        setup=''
        shift
        ;;
      --find-python)
        only_python=yes
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) wrong "no such option: $1; see install.sh --help" ;;
    esac
  done
  unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER PIP_REQUIRE_VIRTUALENV PIP_NO_COMPILE

  if [ -n "$only_python" ]; then
    using=venv
  else
    find_places
    find_source
    if [ -z "$using" ]; then
      using=$(made_by)
      if [ "$using" = venv ] || has "$using"; then :; elif has uv; then using=uv; elif has pipx; then using=pipx; else using=venv; fi
    fi
  fi
  case $using in
    uv | pipx) has "$using" || die "there is no $using; without --using, another way is taken" ;;
    venv) ;;
    *) wrong "--using $using: expected uv, pipx or venv" ;;
  esac

  lacking=$(missing)
  [ -z "$lacking" ] || die "$lacking"
  python=$(find_python)
  if [ -n "$only_python" ]; then
    echo "$python"
    exit 0
  fi

  old_version=$("$bin/rad-engineer" --version 2>/dev/null) || old_version=''
  "with_$using"
  say "installed: $("$bin/rad-engineer" --version), $bin/rad-engineer"
  optional
  case :$PATH: in
    *":$bin:"*) ;;
    *) say "hint: $bin is not on your PATH; add it: export PATH=\"$bin:\$PATH\"" ;;
  esac
  if [ -n "$setup" ] && [ -z "$old_version" ] && { : </dev/tty; } 2>/dev/null; then
    "$bin/rad-engineer" setup </dev/tty || say 'hint: later: rad-engineer setup'
  elif [ -z "$old_version" ]; then
    say 'next: rad-engineer setup'
  fi
}

install_rad_engineer "$@"
