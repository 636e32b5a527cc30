#!/usr/bin/env bash
# Installs the Autobahn test suite, which tests WebSocket servers, in the target directory; part of
# install.sh, whose virtual environment it needs. The suite is written in Python 2, which Debian had
# last in bullseye: that one's packages are unpacked beside the suite, and nothing of the system is
# touched. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "interop/autobahn.sh: $*" >&2; }

recipe=$PWD/interop/autobahn.txt
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
prefix=$target/autobahn
# The copy beside the suite tells which packages it was installed with.
cmp -s "$recipe" "$prefix/autobahn.txt" && exit 0

say "making $prefix"
rm -rf "$prefix"
mkdir -p "$prefix"/{apt/lists/partial,debs}

# From where the system has its own packages.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
    'Component: main' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" | sort -u | head -n 1)
[ -n "$archive" ] || { say "apt has no source of Debian's packages"; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $archive bullseye main" >"$prefix/apt/sources.list"
apt=(timeout -k 10 300 apt-get -qq -o Dir::Etc::SourceList="$prefix/apt/sources.list"
    -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$prefix/apt/lists"
    -o Dir::Cache="$prefix/apt" -o Acquire::Retries=3 -o APT::Sandbox::User=root)
"${apt[@]}" update </dev/null
(cd "$prefix/debs" && "${apt[@]}" download python2.7 python2.7-minimal libpython2.7-minimal \
    libpython2.7-stdlib libssl1.1 libffi7 </dev/null)
for deb in "$prefix"/debs/*.deb; do
    dpkg-deb --extract "$deb" "$prefix/root"
done

# pip is run from its own wheel, and installs what the suite's sources are built with.
"$target/interop-venv/bin/pip" download --quiet --disable-pip-version-check --no-deps \
    --require-hashes --dest "$prefix/tools" -r <(grep -E '^(pip|setuptools|wheel)==' "$recipe")
pip=("$prefix"/tools/pip-*.whl)
libraries=("$prefix"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=${libraries[0]}
python2=$prefix/root/usr/bin/python2.7
"$python2" "${pip[0]}/pip" install --quiet --no-python-version-warning --no-index \
    --find-links "$prefix/tools" --target "$prefix/tools" pip setuptools wheel
PYTHONPATH=$prefix/tools "$python2" -m pip install --quiet --disable-pip-version-check \
    --no-python-version-warning --retries 3 --require-hashes --no-deps --no-build-isolation \
    --target "$prefix/site" -r <(grep -vE '^(pip|wheel)==' "$recipe")
# `zope` is a package only where Python reads .pth files, which it does not in PYTHONPATH.
touch "$prefix/site/zope/__init__.py"
rm -rf "$prefix"/{apt,debs,tools}
cp "$recipe" "$prefix/autobahn.txt"
