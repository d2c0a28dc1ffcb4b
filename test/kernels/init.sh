#!/bin/busybox sh
# First process of a test machine: prepares it, runs the tests, says how they ended, and turns it off. The kernel's console
# is the first serial port; what the tests print goes to the second one.
export PATH=/bin
b=busybox
$b mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/ttyS1 2>&1
busybox stty -F /dev/ttyS1 raw
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t tmpfs tmpfs /tmp
$b mount -t tmpfs tmpfs /run
$b mkdir -p /sys/fs/cgroup
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup && $b mount -t bpf bpf /sys/fs/bpf
for module in /modules/*; do
  $b insmod "$module" || echo "insmod $module failed"
done
ip link set lo up
echo "BOOTED $($b uname -r) $($b cut -d' ' -f1 /proc/uptime)"
cd /root
# WEFT_* of the kernel's command line is in the environment.
export RUST_BACKTRACE=0 WEFT_MUST_RUN=1 WEFT_ENVOY=/weft/envoy WEFT_FEATURES=/run/features
/weft/tests --test-threads="${WEFT_THREADS:-2}" $(echo "$WEFT_FILTER" | $b tr , ' ')
code=$?
[ -e /run/features ] && $b cat /run/features
echo "EXIT $code"
$b poweroff -f
