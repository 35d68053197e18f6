#!/bin/bash
# Run inside a bare system by tests/e2e/test_install_matrix.py: as which user, with which home, and what.
# Usage: inside.sh ROOT UPPER USER WHAT…    ROOT is only read; UPPER takes what is written.
set -euo pipefail

root=$1 upper=$2 user=$3
shift 3
mkdir -p "$upper/top" "$upper/work" "$upper/merged"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$upper/top,workdir=$upper/work" "$upper/merged"
cd "$upper/merged"
mkdir -p before-this
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
cp /etc/resolv.conf etc/resolv.conf
cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
mkdir -p given
mount --rbind "$GIVEN" given
pivot_root . before-this
cd /
umount -l before-this
rmdir before-this
id ada >/dev/null 2>&1 || useradd -m -s /bin/bash ada
if [ "$user" = root ]; then
  export HOME=${CASE_HOME:-/root}
  exec "$@"
fi
export HOME=${CASE_HOME:-/home/ada}
mkdir -p "$HOME"
[ -n "${READ_ONLY_HOME:-}" ] || chown -R ada: "$HOME"
exec setpriv --reuid=ada --regid=ada --init-groups --no-new-privs "$@"
