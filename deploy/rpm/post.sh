# systemd makes the user and the directory by itself where it has rpm's file triggers.
systemd-sysusers cachecompress.conf >/dev/null 2>&1 || :
systemd-tmpfiles --create cachecompress.conf >/dev/null 2>&1 || :
if [ "$1" -eq 1 ] && [ -x /usr/bin/systemctl ]; then
    systemctl --no-reload preset cachecompress.socket cachecompress-admin.socket cachecompress.service || :
fi
