# Shared by .ci/run and .ci/deep: steps with their time, and a list of those that failed.

set -uo pipefail
exec </dev/null

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export GOFLAGS="${GOFLAGS:-} -buildvcs=false" GOTOOLCHAIN="${GOTOOLCHAIN:-auto}"
tools="${CLOSEDLOOP_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/closedloop-ci}"
work="$(mktemp -d)"
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
failed=()
total=$SECONDS

# step NAME COMMAND...: runs a command or function, in a shell of its own that ends at the first error.
step() {
  local name=$1 start=$SECONDS status
  shift
  printf '\n=== %s\n' "$name"
  (
    set -e
    "$@"
  )
  status=$?
  if [ $status -eq 0 ]; then
    printf -- '--- %s: ok, %d s\n' "$name" $((SECONDS - start))
  else
    printf -- '--- %s: FAILED (%d), %d s\n' "$name" $status $((SECONDS - start))
    failed+=("$name")
  fi
}

# finish prints the outcome of all steps and ends the script.
finish() {
  printf '\n%d s in all\n' $((SECONDS - total))
  if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
  fi
  echo "all steps passed"
  exit 0
}

# packages_with PATTERN: the packages whose tests hold the pattern, one a line.
packages_with() {
  grep -rlE --include='*_test.go' --exclude-dir=testdata "$1" . | xargs -r -n1 dirname | sort -u
}

# share WHOLE: WHOLE times the share of the campaigns, rounded up.
share() { awk -v n="$1" -v s="$CLOSEDLOOP_DEEP" 'BEGIN { x = n * s; y = int(x); print (y < x ? y + 1 : y) }'; }

# campaigns: the tests that repeat with random choices, CLOSEDLOOP_DEEP times their full counts.
campaigns() {
  : "${CLOSEDLOOP_SEED:=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
  export CLOSEDLOOP_DEEP CLOSEDLOOP_SEED CLOSEDLOOP_KILLS
  CLOSEDLOOP_KILLS=$(share 500)
  echo "CLOSEDLOOP_DEEP=$CLOSEDLOOP_DEEP CLOSEDLOOP_SEED=$CLOSEDLOOP_SEED CLOSEDLOOP_KILLS=$CLOSEDLOOP_KILLS"
  step "campaigns of kills, power cuts, damage and full disks" kills_and_damage
  step "model tests" models
  step "fuzz targets" fuzz "$(share 60)s"
}

kills_and_damage() {
  # shellcheck disable=SC2046 # one argument a package
  go test -count=1 -timeout 6h $(packages_with 'CLOSEDLOOP_(DEEP|KILLS)|campaign\.Rounds')
}

models() {
  # shellcheck disable=SC2046
  go test -count=1 -timeout 6h $(packages_with '"pgregory.net/rapid"') \
    -rapid.checks="$(share 2000)" -rapid.seed="$CLOSEDLOOP_SEED" -rapid.nofailfile
}

# out_of_time: nothing was found, but the time ended while an input was under way, which Go takes for a failure at times.
out_of_time() {
  grep -q '^    context deadline exceeded$' "$work/fuzz" && ! grep -q -e 'Failing input' -e 'hung or terminated' "$work/fuzz"
}

# fuzz TIME: every fuzz target for that long.
fuzz() {
  local package target
  for package in $(packages_with '^func Fuzz'); do
    for target in $(go test -run '^$' -list '^Fuzz' "$package" | grep '^Fuzz'); do
      echo "$package $target"
      if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package" >"$work/fuzz" 2>&1 && ! out_of_time; then
        cat "$work/fuzz"
        return 1
      fi
      grep '^fuzz: elapsed' "$work/fuzz" | tail -n 1
    done
  done
}
