if [ "$1" -eq 0 ] && [ -x /usr/bin/systemctl ]; then
    systemctl --no-reload disable --now cachecompress.service cachecompress.socket cachecompress-admin.socket || :
fi
