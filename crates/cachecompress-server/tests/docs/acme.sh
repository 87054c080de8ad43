#!/bin/sh
# Stands in for certbot and lego: without an authority neither can be run. It takes their flags as
# these do, has the proof fetched from the server as an authority would, and then renews.
set -eu

webroot='' host='' path='' email=''
name=$(basename "$0")
case "$name" in
certbot)
    command=$1
    shift
    ;;
esac
while [ $# -gt 0 ]; do
    case "$name $1" in
    'certbot --webroot' | 'certbot --quiet' | 'certbot --agree-tos' | 'lego --accept-tos' | 'lego --http') ;;
    'certbot -w' | 'lego --http.webroot') webroot=$2 && shift ;;
    'certbot -d' | 'lego --domains') host=$2 && shift ;;
    'certbot -m' | 'lego --email') email=$2 && shift ;;
    'lego --path') path=$2 && shift ;;
    'lego run' | 'lego renew') command=$1 ;;
    *) echo "$name: unknown argument $1" && exit 2 ;;
    esac
    shift
done

proof="$webroot/.well-known/acme-challenge/token"
case "$name $command" in
'certbot certonly' | 'lego run' | 'lego renew')
    [ -n "$email" ]
    printf '%s %s\n' "$host" "$webroot" > "$STAGE/lineage"
    ;;
'certbot renew')
    read -r host webroot < "$STAGE/lineage"
    proof="$webroot/.well-known/acme-challenge/token"
    ;;
*) echo "$name: unknown command $command" && exit 2 ;;
esac
mkdir -p "$(dirname "$proof")"
echo proof > "$proof"
[ "$(curl -sS --fail "http://$host/.well-known/acme-challenge/token")" = proof ]
rm "$proof"
case "$name" in
certbot)
    cp "$STAGE/renewed/fullchain.pem" "$STAGE/renewed/privkey.pem" "$STAGE/etc/letsencrypt/live/$host/"
    ;;
lego)
    mkdir -p "$path/certificates"
    cp "$STAGE/renewed/fullchain.pem" "$path/certificates/$host.crt"
    cp "$STAGE/renewed/privkey.pem" "$path/certificates/$host.key"
    ;;
esac
