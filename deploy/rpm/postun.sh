if [ "$1" -ge 1 ] && [ -x /usr/bin/systemctl ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    systemctl try-restart cachecompress.service >/dev/null 2>&1 || :
fi
