#!/usr/bin/env bash
# Talks to one instance of a new revision before it gets any traffic.
#
#   GRIT_URL      base URL of the instance, such as http://127.0.0.1:41234
#   GRIT_SERVICE  api or web
#   GRIT_VERSION  the tag or commit that is being deployed, for the messages
#
# Exit 0: it behaves. Exit 1: it does not, with one line that says how. Needs
# bash and nothing else: HTTP is spoken over bash's own /dev/tcp.
set -euo pipefail
# Writing into a closed connection is then an error to report, not the end.
trap '' PIPE

ANSWER_SECONDS=5

fail() {
  echo "smoke-test: ${GRIT_SERVICE:-?}${GRIT_VERSION:+ $GRIT_VERSION} at ${GRIT_URL:-?}: $*" >&2
  exit 1
}

# request METHOD PATH [BODY]: sets STATUS, HEADERS and BODY.
request() {
  local method=$1 path=$2 body=${3-} head answer='' status=0
  head="$method $path HTTP/1.1"$'\r\n'"host: $AUTHORITY"$'\r\n'"connection: close"$'\r\n'
  head+="x-session: smoke-$$"$'\r\n'
  if [[ $method == POST ]]; then
    head+="content-type: application/json"$'\r\n'"content-length: ${#body}"$'\r\n'
  fi
  { exec 3<>"/dev/tcp/$HOST/$PORT"; } 2>/dev/null || fail "nothing listens there"
  printf '%s\r\n%s' "$head" "$body" 2>/dev/null >&3 || fail "$method $path: connection closed"
  # Up to the end of the stream; a status above 128 is the time limit.
  IFS= read -r -d '' -t "$ANSWER_SECONDS" -u 3 answer || status=$?
  exec 3<&-
  if [[ $status -gt 128 ]]; then
    fail "$method $path: no complete answer within $ANSWER_SECONDS seconds"
  fi
  if [[ $answer != "HTTP/1.1 "*$'\r\n\r\n'* ]]; then
    fail "$method $path: no HTTP answer, the connection was just closed"
  fi
  STATUS=${answer:9:3}
  HEADERS=${answer%%$'\r\n\r\n'*}$'\r\n'
  BODY=${answer#*$'\r\n\r\n'}
  BODY=${BODY%$'\n'}
}

expect_status() {
  if [[ $STATUS != "$2" ]]; then
    fail "$1: expected status $2, got $STATUS: ${BODY:0:200}"
  fi
}

expect_body() {
  if [[ $BODY != *"$2"* ]]; then
    fail "$1: expected $2 in the answer, got: ${BODY:0:200}"
  fi
}

check_health() {
  request GET /health
  expect_status "GET /health" 200
  expect_body "GET /health" '"status":"ok"'
  expect_body "GET /health" "\"service\":\"$GRIT_SERVICE\""
  expect_body "GET /health" "\"version\":\"$VERSION\""
  if [[ $HEADERS != *$'\r\n'"x-shop-version: $VERSION"$'\r\n'* ]]; then
    fail "GET /health: the header x-shop-version: $VERSION is missing"
  fi
}

check_api() {
  request GET /version
  expect_status "GET /version" 200
  expect_body "GET /version" "\"version\":\"$VERSION\""

  request GET /catalogue
  expect_status "GET /catalogue" 200
  expect_body "GET /catalogue" '"id":1,'

  request POST /cart '{"product":1,"quantity":2}'
  expect_status "POST /cart" 200
  expect_body "POST /cart" '"total_cents":1900'

  request POST /checkout
  expect_status "POST /checkout" 201
  expect_body "POST /checkout" '"total_cents":1900'

  request POST /cart '{"product":1,"quantity":0}'
  expect_status "POST /cart with quantity 0" 422
}

check_web() {
  request GET /
  expect_status "GET /" 200
  expect_body "GET /" '<a href="/product/1">'
}

main() {
  [[ -n ${GRIT_URL:-} ]] || fail "GRIT_URL is not set"
  AUTHORITY=${GRIT_URL#http://}
  AUTHORITY=${AUTHORITY%/}
  HOST=${AUTHORITY%:*}
  PORT=${AUTHORITY##*:}
  [[ $GRIT_URL == http://* && $PORT =~ ^[0-9]+$ ]] || fail "GRIT_URL is not http://HOST:PORT"
  # Names under localhost are this machine; not every resolver knows that.
  if [[ $HOST == *.localhost ]]; then
    HOST=127.0.0.1
  fi

  # What must be running is what stands in the commit that this script is from.
  local version_file
  version_file=$(dirname "${BASH_SOURCE[0]}")/../services/${GRIT_SERVICE:-}/VERSION
  case ${GRIT_SERVICE:-} in
    api | web) VERSION=$(<"$version_file") ;;
    *) fail "GRIT_SERVICE must be api or web" ;;
  esac

  check_health
  "check_$GRIT_SERVICE"
  echo "smoke-test: $GRIT_SERVICE $VERSION at $GRIT_URL: good"
}

main
