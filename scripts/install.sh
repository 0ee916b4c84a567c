#!/bin/sh
# Install or upgrade kalshi on a server (docs/operations.md): run this as root, from a copy of the repository. It prints
# each command before it runs it; --dry-run runs none. It starts nothing, and keeps kalshi.env and units that you changed.
# PYTHON is the Python of the environment, /usr/bin/python3 by default. DESTDIR is put before every path, to try it.
set -eu
umask 022
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3} root=${DESTDIR:-} dry=
case "$*" in
    "") ;;
    --dry-run) dry=1 ;;
    *) echo "usage: scripts/install.sh [--dry-run]" >&2 && exit 2 ;;
esac

fail() {
    echo "install.sh: $*" >&2
    exit 2
}

run() {
    echo "+ $*"
    if [ -z "$dry" ]; then "$@"; fi
}

# Install a file with these options of install, unless it exists already.
keep() {
    file=$1 target=$2
    shift 2
    if [ ! -e "$target" ]; then
        run install "$@" "$file" "$target"
    elif ! cmp -s "$file" "$target"; then
        echo "kept $target, which differs: diff $target $file"
    fi
}

[ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || fail "run it as root, or with --dry-run"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is not Python 3.11 or newer: set PYTHON"
for unit in kalshi-trade.service kalshi-check.timer kalshi-dashboard.service; do
    [ -n "$dry" ] || ! systemctl is-active --quiet "$unit" 2>/dev/null || fail "$unit runs: systemctl stop $unit"
done

own="-o kalshi -g kalshi"
if [ -n "$root" ]; then
    own= # nothing outside DESTDIR changes
elif ! id kalshi >/dev/null 2>&1; then
    run useradd --system --home-dir /var/lib/kalshi --shell /usr/sbin/nologin kalshi
fi
[ -x "$root/opt/kalshi/bin/pip" ] || run "$python" -m venv "$root/opt/kalshi"
run "$root/opt/kalshi/bin/pip" install --require-hashes -r requirements.lock
run "$root/opt/kalshi/bin/pip" install --no-deps --no-build-isolation .
run install -d -m 755 "$root/usr/local/bin" "$root/etc/systemd/system"
run install -m 755 scripts/systemd/kalshi scripts/cron/kalshi-cron "$root/usr/local/bin/"
run install -d -m 700 $own "$root/etc/kalshi" "$root/var/lib/kalshi"
keep scripts/systemd/kalshi.env "$root/etc/kalshi/kalshi.env" -m 600 $own
for unit in scripts/systemd/kalshi-*; do
    keep "$unit" "$root/etc/systemd/system/${unit##*/}" -m 644
done
if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
# The wrapper reads the settings of this machine, not those under DESTDIR.
if [ -n "$root" ]; then run "$root/opt/kalshi/bin/kalshi" --version; else run /usr/local/bin/kalshi --version; fi
echo "Next: kalshi init, or kalshi config check after an upgrade (docs/operations.md)"
