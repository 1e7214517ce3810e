# To be sourced: a development environment whose edge is a release build, as everything that measures needs it.
#
#   environment NAME PORT_BASE   starts it, and sets $dir (its directory), $plain (the developer's URL without TLS), and of the
#                                database behind it $host, $port, $user, $password
#   pooled NAME DBNAME           has the edge serve DBNAME as NAME, with 20 connections that sessions share
#   when_done COMMAND            is run when the script ends, before the environment is stopped
#
# EDGE is the edge to measure: the release build of this tree where it is not set. LAKE is the lake: a debug build where it is not
# set, which takes a multiple of the time for what it is sent. With LOADTEST_SPOOL=memory its records are in
# memory, so that making them durable costs nothing: what that costs otherwise is the difference. With LOADTEST_LAKE=stopped the
# lake stands still: it is another machine's work, and there are not always cores for it here. Records wait in the spool, which
# has room for some minutes.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target="${CARGO_TARGET_DIR:-$here/target}"
writ="$target/debug/writ"
dir= memory=
at_end=()

when_done() { at_end=("$*" "${at_end[@]}"); }

end_environment() {
  for command in "${at_end[@]}"; do eval "$command" || true; done
  [ -z "$dir" ] || "$writ" dev stop --data-dir "$dir" >/dev/null 2>&1 || true
  [ -z "$dir" ] || rm -rf "$dir"
  [ -z "$memory" ] || rm -rf "$memory"
}

# Ends a process, in order.
stop() { # PID
  kill "$1"
  while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
}

# A plane that was stopped, as this build of it.
start_plane() { # PLANE BINARY
  WRIT_EDGE_PLAINTEXT=true WRIT_EDGE_SESSIONS_MAX=100000 "$2" dev start "$1" --data-dir "$dir" >&2
  set -a; . "$dir/dev.env"; set +a
}

# The edge again, as another build of it.
run_edge() { # BINARY
  stop "$WRIT_PID_EDGE"
  if [ "${LOADTEST_SPOOL:-}" = memory ]; then
    memory=$(mktemp -d /dev/shm/writ-spool-XXXXXX)
    mv "$dir/edge/spool" "$memory/"
    ln -s "$memory/spool" "$dir/edge/spool"
  fi
  start_plane edge "$1"
}

environment() { # NAME PORT_BASE
  "$here/deploy/install-deps" >&2
  (cd "$here" && cargo build --workspace --quiet)
  if [ -z "${EDGE:-}" ]; then
    (cd "$here" && cargo build --release -p writ --no-default-features --features edge --quiet)
    EDGE="$target/release/writ"
  fi
  dir=$(mktemp -d "${TMPDIR:-/tmp}/writ-$1-XXXXXX")
  trap end_environment EXIT
  "$writ" dev --data-dir "$dir" --port-base "$2" --separate --detach >&2
  set -a; . "$dir/dev.env"; set +a
  if [ -n "${LAKE:-}" ]; then
    stop "$WRIT_PID_LAKE"
    start_plane lake "$LAKE"
  fi
  run_edge "$EDGE"
  # Control plane and lake are on machines of their own where it matters: here they get what the others leave.
  local pid task
  for pid in "$WRIT_PID_CONTROL_PLANE" "$WRIT_PID_LAKE"; do
    for task in /proc/"$pid"/task/*; do chrt --idle -p 0 "${task##*/}" || true; done
  done
  if [ "${LOADTEST_LAKE:-}" = stopped ]; then
    when_done "kill -CONT $WRIT_PID_LAKE"
    kill -STOP "$WRIT_PID_LAKE"
  fi
  local hostport=${WRIT_DIRECT_URL#*@}
  hostport=${hostport%%/*}
  host=${hostport%:*} port=${hostport#*:}
  user=${WRIT_DIRECT_URL#*//}
  password=${user#*:}; password=${password%%@*}
  user=${user%%:*}
  plain=${WRIT_URL_DEVELOPER%%\?*}?sslmode=disable
}

pooled() { # NAME DBNAME
  printf '%s' "$password" >"$dir/password"
  WRIT_TOKEN=$WRIT_TOKEN_ADMIN "$writ" databases add "$1" --environment prod --owner dba --host "$host" --port "$port" \
    --dbname "$2" --username "$user" --password-file "$dir/password" --tls disable --pooling transaction --connections-max 20 >&2
}

# Until a command succeeds; what does not answer within half a minute never will.
until_it_answers() { # WHO COMMAND...
  local who=$1 waits=0
  shift
  until "$@" >/dev/null 2>&1; do
    waits=$((waits + 1))
    [ $waits -lt 150 ] || { echo "loadtest: $who does not answer" >&2; exit 1; }
    sleep 0.2
  done
}

# The PgBouncer to compare with: PGBOUNCER, or Debian's, which is installed where it is missing.
find_pgbouncer() {
  local bouncer=${PGBOUNCER:-/usr/sbin/pgbouncer} as_root=()
  if [ ! -x "$bouncer" ]; then
    echo "loadtest: installing pgbouncer" >&2
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null
    "${as_root[@]}" service pgbouncer stop >/dev/null 2>&1 || true
  fi
  echo "$bouncer"
}

# A certificate for it; sets $certificate, the settings that name it.
pgbouncer_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$dir/pgbouncer.key" -out "$dir/pgbouncer.crt" 2>/dev/null
  certificate=("client_tls_key_file = $dir/pgbouncer.key" "client_tls_cert_file = $dir/pgbouncer.crt")
}

# PgBouncer in its fastest mode (transaction pooling, no authentication) in front of the same database; sets $bouncer_pid.
run_pgbouncer() { # BINARY PORT NAME [SETTING...]
  local bouncer=$1 at=$2 name=$3 as=()
  shift 3
  {
    printf '[databases]\n%s = host=%s port=%s dbname=shop user=%s password=%s\n' "$name" "$host" "$port" "$user" "$password"
    printf '[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\n' "$at"
    printf 'pool_mode = transaction\ndefault_pool_size = 20\nmax_client_conn = 100000\nlogfile = %s\n' "$dir/pgbouncer.log"
    printf '%s\n' "$@"
  } >"$dir/pgbouncer.ini"
  if [ "$(id -u)" = 0 ]; then # It does not run as root.
    touch "$dir/pgbouncer.log"
    chown postgres "$dir"/pgbouncer.*
    chmod 755 "$dir"
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  fi
  "${as[@]}" "$bouncer" -q "$dir/pgbouncer.ini" >/dev/null 2>&1 &
  bouncer_pid=$!
  when_done "kill $bouncer_pid"
}
