#!/usr/bin/env bash
# Checks without running anything: compiler warnings are errors, and text files
# have no tabs, no trailing white space, no long lines and end with a newline.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LINE_MAX=100
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# Prints the lines of a file that match a pattern, as FILE:LINE: PROBLEM.
complain() {
  local problem=$1 pattern=$2 file=$3 line
  while IFS=: read -r line _; do
    echo "$file:$line: $problem"
    failed=1
  done < <(grep -nE "$pattern" "$file" || true)
}

while IFS= read -r -d '' file; do
  complain "tab" $'\t' "$file"
  complain "trailing white space" '[[:space:]]$' "$file"
  complain "more than $LINE_MAX characters" "^.{$((LINE_MAX + 1))}" "$file"
  if [[ -n $(tail -c 1 "$file") ]]; then
    echo "$file: no newline at the end"
    failed=1
  fi
done < <(find services scripts grit.yaml README.md .github -type f -print0)

for service in api web; do
  for test in "" --test; do
    # shellcheck disable=SC2086 # no word at all, or one
    rustc --edition 2024 -D warnings --emit=metadata $test \
      --crate-name "$service" --out-dir "$out" "services/$service/src/main.rs" || failed=1
  done
done

if [[ $failed -ne 0 ]]; then
  echo "lint: failed" >&2
  exit 1
fi
echo "lint: clean"
