#!/bin/sh
# Makes the passwords of compose.yml's PostgreSQL in ./secrets, and says which secrets are still to be put there.
# What is there already stays as it is. Files are readable in a folder that only its owner may enter: inside a
# container a secret is read by another user than outside.
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 700 secrets
cd secrets
umask 022

password() {
    [ -s "$1" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1"
}

password owner_password
password bot_password
printf 'postgresql://owner:%s@postgres/sift_retry\n' "$(cat owner_password)" >owner_url
printf 'postgresql://sift_retry:%s@postgres/sift_retry\n' "$(cat bot_password)" >bot_url

missing=0
for name in slack_bot_token slack_app_token sift_api_key; do
    if [ -s "$name" ]; then
        chmod a+r "$name"
    else
        echo "still to be filled: secrets/$name" >&2
        missing=1
    fi
done
exit "$missing"
