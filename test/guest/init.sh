#!/bin/busybox sh
# The first program of the guest, and all that it does: it has /dev/vda as its disk, keeps files on
# it, and says on its second serial port which of them must be there from now on.
#
#   it says                 meaning
#   FSCK STATUS             e2fsck, after the journal was replayed, has ended so; 0 is clean
#   READY                   the file system is mounted, and a command is waited for
#   BEGIN NAME              what was said of this file holds no longer: it is being replaced
#   FSYNCED NAME SUM        the file's fsync has returned
#   FAILED NAME             writing it, or its fsync, has failed
#   FOUND NAME SUM          a file as it is read from the disk
#   CHECKED                 all files were FOUND
#
#   it is told   meaning
#   check        read all files again, not from the page cache
#   go           replace one file after the other, until the end
#   stop         leave the file system in order and power off
#
# The kernel's own messages go to the first serial port.

WRITERS=3
SLOTS=40

/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*; do insmod "$module"; done
while [ ! -b /dev/vda ]; do usleep 10000; done

exec 3<>/dev/ttyS1
stty raw -echo <&3

# Says a line, and returns only when it has left the machine: setting a terminal's modes waits for
# that. Otherwise a BEGIN could die with the guest and the file be replaced all the same.
say() {
  echo "$*" >&3
  stty raw -echo <&3
}

fail() {
  say "FAILED $*"
  poweroff -f
}

check() {
  echo 3 >/proc/sys/vm/drop_caches
  for folder in /disk/files/*; do (cd "$folder" && md5sum ./*); done >/tmp/found
  while read -r sum name; do echo "FOUND ${name#./} $sum" >&3; done </tmp/found
  say CHECKED
}

# Replaces files in one of three ways: removed and made again, emptied and filled, overwritten.
writer() {
  mkdir -p "/disk/files/$1"
  cd "/disk/files/$1" || fail "folder $1"
  at=0
  while :; do
    name=$1-$((at % SLOTS))
    at=$((at + 1))
    bytes=$((512 * (1 + RANDOM % 96) + RANDOM % 512))
    head -c "$bytes" /dev/urandom >"/tmp/$1"
    sum=$(md5sum <"/tmp/$1")
    say "BEGIN $name"
    case $((RANDOM % 3)) in
      0) rm -f "$name" ;;
      1) : >"$name" ;;
      2) truncate -s "$bytes" "$name" ;;
    esac
    if dd if="/tmp/$1" of="$name" bs=16k conv=notrunc,fsync 2>/dev/null; then
      say "FSYNCED $name ${sum%% *}"
    else
      say "FAILED $name"
    fi
  done
}

# Load that nobody asks for: dirty pages that the kernel writes when it likes, and no fsync.
bulk() {
  while :; do
    dd if=/dev/urandom of=/disk/bulk bs=64k count=32 conv=notrunc 2>/dev/null
    usleep 200000
  done
}

if grep -q stordom.mkfs /proc/cmdline; then
  mkfs.ext4 -q -F /dev/vda || fail mkfs
fi
mkdir -p /disk
mount -t ext4 /dev/vda /disk || fail mount
umount /disk || fail umount
e2fsck -f -n /dev/vda >/dev/ttyS0 2>&1
say "FSCK $?"
mount -t ext4 -o discard /dev/vda /disk || fail mount
mkdir -p /disk/files
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
echo 20 >/proc/sys/vm/dirty_expire_centisecs
say READY

pids=
while read -r command <&3; do
  case $command in
    check) check ;;
    go)
      bulk &
      pids=$!
      for number in $(seq "$WRITERS"); do
        writer "$number" &
        pids="$pids $!"
      done
      ;;
    stop)
      kill $pids
      # What the writers have started last may not have ended yet.
      tries=0
      until umount /disk 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail umount
        usleep 100000
      done
      poweroff -f
      ;;
  esac
done
