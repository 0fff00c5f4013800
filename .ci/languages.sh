# The step "languages" of .ci/run: plugins in Rust, C and AssemblyScript are built anew with the toolchains of Debian and
# npm, and behave like the modules in testdata/plugins.

assemblyscript=0.28.20

# missing lists the Debian packages whose commands are not there.
missing() {
  command -v clang >/dev/null || echo clang
  command -v wasm-ld >/dev/null || echo lld
  [ -x /usr/bin/rustc ] || echo rustc
  [ -x /usr/bin/cargo ] || echo cargo
  [ -d /usr/lib/rustlib/wasm32-unknown-unknown ] || echo libstd-rust-dev-wasm32
  [ -e /usr/lib/wasm32-wasi/libc.a ] || echo wasi-libc
  compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a' >/dev/null || echo libclang-rt-dev-wasm32
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
}

# plugin runs the program under test.
plugin() { "$work/closedloop" plugin "$@"; }

# tried tests a folder that plugin new has made, in the way its test file says, and runs its program.
tried() {
  local language=$1 kind=$2 dir=$work/new/$1-$2
  plugin new --lang "$language" --kind "$kind" "$dir" >/dev/null
  case $language in
    rust) (cd "$dir" && cargo test -q) ;;
    c) (cd "$dir" && clang -Wall -Werror -I. -o "$work/try" test/*_test.c && "$work/try") ;;
    assemblyscript) (cd "$dir" && ln -s "$work/npm/node_modules" node_modules && npm test) ;;
  esac
  plugin build "$dir" -o "$dir/$language-$kind.wasm"
  (cd "$dir" && "$work/closedloop" run --once program | tail -n 3)
}

do_languages() {
  local packages entry dir
  packages=$(missing)
  if [ -n "$packages" ]; then
    # shellcheck disable=SC2086
    apt-get update -q && apt-get install -q -y --no-install-recommends $packages
  fi
  # Debian's compilers, also where others come first.
  export PATH="/usr/bin:$PATH" CARGO_TARGET_DIR="$work/cargo" CARGO_NET_OFFLINE=true
  clang --version | head -n 1
  wasm-ld --version
  rustc --version
  cargo --version
  echo "node $(node --version)"

  go build -o "$work/closedloop" ./engine/cmd/closedloop
  mkdir -p "$work/tree" "$work/modules" "$work/npm" "$work/new"
  cp -R sdk examples testdata "$work/tree"
  (cd "$work/npm" && npm install --no-audit --no-fund --silent "assemblyscript@$assemblyscript")
  "$work/npm/node_modules/.bin/asc" --version

  for entry in rust-echo=testdata/plugins/rust-echo churn=examples/plugins/rust \
    c-echo=testdata/plugins/c-echo pii=examples/plugins/c \
    assemblyscript-echo=testdata/plugins/assemblyscript-echo stars=examples/plugins/assemblyscript; do
    dir=$work/tree/${entry#*=}
    if [ -f "$dir/asconfig.json" ]; then
      rm -rf "$dir/node_modules"
      ln -s "$work/npm/node_modules" "$dir/node_modules"
    fi
    plugin build "$dir" -o "$work/modules/${entry%%=*}.wasm"
  done
  CLOSEDLOOP_MODULES="$work/modules" go test ./engine/internal/host/langtest

  # The C header goes with a C library too, and a module may bring its manifest itself.
  echo '{"name": "pii", "version": "1.0.0", "contract": "1.0", "abilities": ["categorize"]}' >"$work/plugin.json"
  echo '__asm__(".section .custom_section.closedloop.manifest,\"\",@\n .incbin \"plugin.json\"\n");' >"$work/manifest.c"
  (cd "$work" && clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Werror -o pii-wasi.wasm tree/examples/plugins/c/pii.c manifest.c)
  plugin test "$work/pii-wasi.wasm" | tail -n 1

  (cd "$work/tree/sdk/rust" && cargo test -q)
  (cd "$work/tree/examples/plugins/rust" && cargo test -q)
  (cd "$work/tree/sdk/c/test" && clang -Wall -Wextra -Werror -fsanitize=undefined -fsanitize-trap=undefined -o "$work/try" closedloop_test.c && "$work/try")
  (cd "$work/tree/examples/plugins/c" && clang -Wall -Werror -o "$work/try" test/pii_test.c && "$work/try")

  tried rust categorizer
  tried rust connector
  tried c categorizer
  tried assemblyscript categorizer
}
