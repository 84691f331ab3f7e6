#!/bin/sh
# Asks the npm registry for known faults of the packages in package-lock.json: first of those that are shipped, then of all.
# Exit status: 0 none, 1 some, 3 the registry cannot tell.
set -u
cd "$(dirname "$0")/.."
status=0
for which in "shipped --omit=dev" "all --include=dev"; do
  echo "== npm packages: ${which%% *}"
  said=$(npm audit "${which#* }" 2>&1)
  case $? in
    0) printf '%s\n' "$said" ;;
    *)
      printf '%s\n' "$said"
      case $said in
        *"audit endpoint returned an error"* | *ENOTFOUND* | *ECONNREFUSED* | *ENOAUDIT*)
          echo "This registry does not tell known faults: ask one that does, with npm config set registry" >&2
          exit 3
          ;;
      esac
      status=1
      ;;
  esac
done
exit $status
