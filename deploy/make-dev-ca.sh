#!/usr/bin/env bash
# Makes a certificate authority for development, and certificates of a server, a worker and a client signed by it.
# Not for production: the authority's key lies beside the certificates, unprotected.
#
#   deploy/make-dev-ca.sh FOLDER [HOST...]     HOST: names and addresses of the server beside localhost
#
# FOLDER gets ca.pem, server.pem, worker.pem, client.pem with their -key.pem. A worker's role is a URI in its
# certificate: uaqf://worker/* lets it be any worker; the client's certificate lets nobody be a worker.
set -euo pipefail
umask 077

if [[ $# -lt 1 || $1 == -* ]]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
folder=${1%/}
shift
days=${UAQF_DEV_CA_DAYS:-365}
if [[ -e $folder/ca.pem ]]; then
  echo "error: $folder already has a ca.pem; expected an empty folder: remove it or name another" >&2
  exit 1
fi
# Half an authority would stand in the way of the next attempt: everything is made beside FOLDER, and moved in whole.
mkdir -p "$(dirname "$folder")"
making=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$making"' EXIT
target=$(realpath -m "$folder")
cd "$making"

# make WHAT ARGUMENT...: openssl with these arguments; WHAT was to be made.
make() {
  local what=$1 said
  shift
  if ! said=$(openssl "$@" 2>&1); then
    printf 'error: cannot make %s: openssl says\n%s\n' "$what" "$said" >&2
    exit 1
  fi
}

names="DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1"
for host in "$@"; do
  if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then names+=",IP:$host"; else names+=",DNS:$host"; fi
done

make "the authority" req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days "$days" \
  -subj "/CN=uaqf development CA" -keyout ca-key.pem -out ca.pem \
  -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"

# issue NAME USAGE SUBJECT_ALT_NAMES
issue() {
  make "the key of the $1" req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -subj "/CN=uaqf $1" \
    -keyout "$1-key.pem" -out "$1.csr"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' \
    "$2" "$3" >"$1.ext"
  make "the certificate of the $1 for $3" x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -sha256 -days "$days" \
    -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}
issue server serverAuth "$names"
issue worker clientAuth "URI:uaqf://worker/*"
issue client clientAuth "URI:uaqf://client"
rm -f ca.srl
chmod 644 ca.pem server.pem worker.pem client.pem
mkdir -p "$target"
mv -- *.pem "$target"/

cat <<END
server:  uaqf-server --tls-cert $folder/server.pem --tls-key $folder/server-key.pem --tls-ca $folder/ca.pem
worker:  uaqf-worker serve --tls-cert $folder/worker.pem --tls-key $folder/worker-key.pem --tls-ca $folder/ca.pem
client:  uaqf --tls-ca $folder/ca.pem
END
