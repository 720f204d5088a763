#!/bin/sh
# A master and two workers in three network namespaces of their own, joined by a bridge, against the paced server in a fourth.
#   sudo sh benchmarks/load/namespaces.sh [report folder]
# Makes the namespaces, runs ten seconds of `chat` at 40 requests a second, removes them, and leaves the report.
set -eu
cd "$(dirname "$0")/../.."
report=${1:-/tmp/load-namespaces}
python=${PYTHON:-python3}
names="ccmaster ccworker1 ccworker2 ccserver"
clean() {
    for pid in ${pids:-}; do kill "$pid" 2>/dev/null || true; done
    for name in $names; do ip netns del "$name" 2>/dev/null || true; done
    ip link del ccbridge 2>/dev/null || true
}
trap clean EXIT INT TERM
clean
ip link add ccbridge type bridge
ip link set ccbridge up
number=1
for name in $names; do
    ip netns add "$name"
    ip link add "veth$number" type veth peer name eth0 netns "$name"
    ip link set "veth$number" master ccbridge up
    ip -n "$name" addr add "10.213.0.$number/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" link set lo up
    number=$((number + 1))
done
export CHAT_API_KEY=k
ip netns exec ccserver "$python" -c "
from loadtest.paced import Server
Server(8000, host='10.213.0.4').serve()" &
pids=$!
sleep 1
locust="$python -m locust -f loadtest/locustfile.py"
for worker in ccworker1 ccworker2; do
    ip netns exec $worker $locust --worker --master-host 10.213.0.1 >/dev/null 2>&1 &
    pids="$pids $!"
done
ip netns exec ccmaster $locust --master --expect-workers 2 --headless --only-summary --host http://10.213.0.4:8000 \
    --dialect openai --scenario chat --rate 40 -t 10s --report "$report" || echo "exit code $?"
