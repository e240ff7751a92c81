# What the jobs say, and how. The host looks for these lines in the serial log.

# A line of its own, even when the kernel has just printed half of one.
say() {
    printf '\n%s\n' "$*" > /dev/console
}

# step NAME COMMAND…: runs it and says how it went; a failure ends the guest.
step() {
    name=$1
    shift
    if "$@" > /tmp/step.log 2>&1; then
        say "STEP $name ok"
    else
        say "STEP $name failed: $*"
        cat /tmp/step.log > /dev/console
        dmesg | tail -n 20 > /dev/console
        poweroff -f
        # Powering off takes a moment, and nothing may run until then.
        sleep 3600
    fi
}

# within SECONDS COMMAND…: repeats the command until it succeeds.
within() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}
