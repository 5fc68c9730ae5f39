# What the parts of ./dev share: what there is to test, what is installed, and how to say it.
#
# ./dev sources hosts/hosts.sh, then every part, and runs in the project's directory. Sourcing a part
# only defines things. Each part names the others that it uses, but for this one.

# Of Linux, as WEV_BACKEND names them.
native_backends=(io_uring epoll poll)
# In the order of docs/benchmarks.md.
benchmarks=(pingpong timers wake post pipe tasks growth)

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }

have_clang() { [ -e /usr/bin/clang++-22 ]; }
have_wasi() { have_clang && [ -e /usr/lib/wasm32-wasi/libc.a ]; }

# Prints a host's version; fails where it is not installed. Run elsewhere, since Python would also
# look for packages in the project's directory.
version_of() { (cd / && "version_$1" 2> /dev/null); }  # HOST
