#!/bin/sh
# install.sh PYTHON VENV LOCK [OPTION...]: installs a hashed lock into a virtual environment, which needs no pip; the options are
# those of `uv pip install`.
#
# pip installs uv, hashed as well, and uv the lock: in 2 s, where pip takes 40. Where uv cannot be had or fails (it has no wheel
# for some platforms, and reads little of pip's configuration), pip installs the lock.
set -eu
base=$1
python=$2/bin/python
lock=$3
shift 3
uv_lock=$(dirname "$0")/../../requirements-uv.lock

# At Ctrl-C, pip with --python prints the stack of its outer process, unless the system ends that.
outer_pip='import runpy, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); runpy.run_module("pip", run_name="__main__")'

# The pip of PYTHON, if it has one: to put another one into the environment takes 5 s.
pip() {
	if "$base" -m pip --version >/dev/null 2>&1; then
		"$base" -c "$outer_pip" --python "$python" --disable-pip-version-check "$@"
	else
		"$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null
		"$python" -m pip --disable-pip-version-check "$@"
	fi
}

pip_install() {
	pip install --quiet --no-deps --require-hashes "$@"
}

has_uv() {
	"$python" -c 'import uv' 2>/dev/null
}

if ! has_uv; then
	echo "Installing uv, which installs the packages"
	pip_install --only-binary :all: -r "$uv_lock" || echo "uv cannot be installed here"
fi
echo "Installing the $(grep -c '^[A-Za-z0-9].*==' "$lock") packages of $lock"
if has_uv; then
	# A mirror that pip is set up with stays the only source.
	index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}}
	"$python" -m uv pip install --quiet --system-certs ${index:+--default-index "$index"} \
		--python "$python" --no-deps --require-hashes -r "$lock" "$@" && exit
	echo "uv cannot install them here; pip does, which takes longer"
fi
pip_install -r "$lock"
