#!/bin/sh
# Judges an endpoint and ends in the gate's exit code: 0 release, 1 the target failed, 2 cannot judge, 4 wrong call.
#
#   CHAT_API_KEY=... CONFORMANCE_TARGET=https://api.example.com sh pre-release.sh
#
# CONFORMANCE_TARGET is required. Optional: CONFORMANCE_DIALECT, _MODEL, _PROFILE, _BASELINE, _LEVEL, _DEPTH, _REPORT (a folder);
# PYTHON is an interpreter that has chat-conformance. Arguments go to pytest.
set -u

python=${PYTHON:-python3}
report=${CONFORMANCE_REPORT:-conformance-report}
level=${CONFORMANCE_LEVEL:-must}
if [ -z "${CONFORMANCE_TARGET:-}" ]; then
    echo "pre-release: CONFORMANCE_TARGET is not set: the base URL of the endpoint to judge" >&2
    exit 4
fi

set -- --target "$CONFORMANCE_TARGET" --dialect "${CONFORMANCE_DIALECT:-openai}" \
    --level "$level" --depth "${CONFORMANCE_DEPTH:-full}" --report "$report" "$@"
[ -z "${CONFORMANCE_MODEL:-}" ] || set -- "$@" --model "$CONFORMANCE_MODEL"
[ -z "${CONFORMANCE_PROFILE:-}" ] || set -- "$@" --profile "$CONFORMANCE_PROFILE"
[ -z "${CONFORMANCE_BASELINE:-}" ] || set -- "$@" --baseline "$CONFORMANCE_BASELINE"

# A project's own pytest settings (coverage, other plugins, other folders) are for its own tests, so none are read here.
code=0
"$python" -m pytest -c /dev/null --rootdir . -p no:cacheprovider --noconftest -q "$@" || code=$?

# The run's code is the gate's already; asked again from the file, so that what is kept says the same as what was decided.
if [ "$code" -le 1 ]; then
    set -- "$report" --level "$level"
    [ -z "${CONFORMANCE_BASELINE:-}" ] || set -- "$@" --baseline "$CONFORMANCE_BASELINE"
    code=0
    "$python" -m reports gate "$@" || code=$?
fi
exit "$code"
