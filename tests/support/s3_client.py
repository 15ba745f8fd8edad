"""A small S3 client for tests: signs with sigv4.py, sends exactly what it was told, hides nothing of the answer.

    client = S3Client(s3.url, s3.key, s3.region)
    client.put("bucket", "a.jpg", content).expect(200)["etag"]

`send` is the whole of it; the rest are its most used forms. One connection per client, opened again when it was closed.
"""

import base64
import hashlib
import http.client
import socket
import time
import urllib.parse
import xml.etree.ElementTree

import sigv4

PATIENCE_S = 45


class S3Answer:
    """status, fields ([(lower-case name, value)]) and body; answer["etag"] is a field that must be there."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def get(self, name, default=None):
        return next((value for field, value in self.fields if field == name), default)

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise AssertionError(f"no {name} in {self}")
        return value

    def expect(self, status):
        if self.status != status:
            raise AssertionError(f"{status} was expected, not {self}")
        return self

    @property
    def xml(self):
        """The root of the body, without namespaces."""
        root = xml.etree.ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    @property
    def code(self):
        """The code of an S3 error; None where the body tells none."""
        return self.xml.findtext("Code") if self.body.lstrip().startswith(b"<") else None

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:300]!r}>"


class S3Client:
    """`key` None asks without a signature; `virtual` is the domain below which buckets are hosts instead of paths."""

    def __init__(self, url, key, region, virtual=None):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.key, self.region, self.virtual = parts.hostname, parts.port, key, region, virtual
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def address(self, bucket=None, key=None):
        """(Host, path of the wire) of a bucket or key."""
        path = "/" + sigv4.encode(key or "", keep="/")
        if self.virtual and bucket:
            return f"{bucket}.{self.virtual}", path
        return f"{self.host}:{self.port}", f"/{bucket}{path}" if bucket else path

    def send(self, method, bucket=None, key=None, pairs=(), fields=(), body=b"", payload="body", presigned=None,
             path=None, query=None, now=None, signed=None, unsigned_fields=(), drop=()):
        """One request. `payload` is "body" (its hash), a value of its own, or None; `presigned` the seconds of a URL.

        `path` and `query` replace what goes onto the wire after signing, `drop` names fields that are signed and then
        not sent, `unsigned_fields` are sent without being signed.
        """
        host, clean = self.address(bucket, key)
        pairs = list(pairs)
        raw = sigv4.canonical_query(pairs)
        fields = [(name.lower(), value) for name, value in fields]
        if payload == "body":
            payload = hashlib.sha256(body).hexdigest()
        if self.key is None:
            sent = [*fields, ("host", host)]
        elif presigned is not None:
            raw = sigv4.presign(self.key, self.region, method, host, clean, pairs, presigned, now)
            sent = [*fields, ("host", host)]
        else:
            sent = sigv4.sign(self.key, self.region, method, host, clean, pairs, fields, payload, now, signed)
        sent = [(name, value) for name, value in [*sent, *unsigned_fields] if name not in drop]
        if (body or method in ("PUT", "POST")) and "content-length" not in drop:
            sent.append(("content-length", str(len(body))))
        raw = raw if query is None else query
        return self.exchange(method, (path or clean) + (f"?{raw}" if raw else ""), sent, body)

    def exchange(self, method, target, fields, body=b""):
        """Sends these fields as they are; a connection that the server has closed since is opened again."""
        for attempt in (1, 2):
            fresh = self._connection is None
            if fresh:
                self._connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
                self._connection.connect()
                self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
                for name, value in fields:
                    self._connection.putheader(name, value)
                self._connection.endheaders(body or None)
                answer = self._connection.getresponse()
                content = answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if fresh or attempt == 2:
                    raise
                continue
            except BaseException:
                self.close()
                raise
            if answer.will_close:
                self.close()
            return S3Answer(answer.status, [(name.lower(), value) for name, value in answer.getheaders()], content)

    # --- the most used forms ---

    def create_bucket(self, bucket, versioned=False, public=False):
        """`versioned` switches it on, for servers that are not so from the start."""
        self.send("PUT", bucket, fields=[("x-amz-acl", "public-read")] if public else []).expect(200)
        if versioned:
            body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            self.send("PUT", bucket, pairs=[("versioning", "")], body=body).expect(200)

    def put(self, bucket, key, data, fields=(), **options):
        return self.send("PUT", bucket, key, fields=fields, body=data, **options)

    def get(self, bucket, key, fields=(), version_id=None, **options):
        pairs = [("versionId", version_id)] if version_id else []
        return self.send("GET", bucket, key, pairs, fields, **options)

    def head(self, bucket, key, fields=(), version_id=None, **options):
        pairs = [("versionId", version_id)] if version_id else []
        return self.send("HEAD", bucket, key, pairs, fields, **options)

    def delete(self, bucket, key, version_id=None):
        return self.send("DELETE", bucket, key, [("versionId", version_id)] if version_id else [])

    def set_acl(self, bucket, key=None, acl="public-read"):
        return self.send("PUT", bucket, key, [("acl", "")], [("x-amz-acl", acl)])

    def copy(self, bucket, key, source, fields=()):
        """`source` is (bucket, key) or (bucket, key, version id)."""
        value = "/" + source[0] + "/" + sigv4.encode(source[1], keep="/")
        if len(source) > 2:
            value += "?versionId=" + sigv4.encode(source[2])
        return self.send("PUT", bucket, key, fields=[("x-amz-copy-source", value), *fields])

    def delete_many(self, bucket, entries, md5=True):
        """`entries` are (key, version id or None)."""
        rows = "".join(f"<Object><Key>{key}</Key>{f'<VersionId>{version}</VersionId>' if version else ''}</Object>"
                       for key, version in entries)
        body = f"<Delete>{rows}</Delete>".encode()
        fields = [("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode())] if md5 else []
        return self.send("POST", bucket, pairs=[("delete", "")], fields=fields, body=body)

    def pages(self, bucket, kind, **parameters):
        """The roots of all pages of a list; `kind` is "objects" or "versions"."""
        pairs = {name.replace("_", "-"): str(value) for name, value in parameters.items()}
        pairs["list-type" if kind == "objects" else "versions"] = "2" if kind == "objects" else ""
        while True:
            root = self.send("GET", bucket, pairs=list(pairs.items())).expect(200).xml
            yield root
            if root.findtext("IsTruncated") != "true":
                return
            if kind == "objects":
                pairs["continuation-token"] = root.findtext("NextContinuationToken")
            else:
                for name, element in (("key-marker", "NextKeyMarker"), ("version-id-marker", "NextVersionIdMarker")):
                    pairs.pop(name, None)
                    if value := root.findtext(element):
                        pairs[name] = value

    def keys(self, bucket, **parameters):
        return [row.findtext("Key") for page in self.pages(bucket, "objects", **parameters)
                for row in page.findall("Contents")]

    def versions(self, bucket, **parameters):
        """[(key, version id, whether it is a marker, whether it is the latest)] of all pages."""
        return [(row.findtext("Key"), row.findtext("VersionId"), row.tag == "DeleteMarker",
                 row.findtext("IsLatest") == "true")
                for page in self.pages(bucket, "versions", **parameters) for row in page
                if row.tag in ("Version", "DeleteMarker")]

    def start_upload(self, bucket, key, fields=()):
        return self.send("POST", bucket, key, [("uploads", "")], fields).expect(200).xml.findtext("UploadId")

    def upload_part(self, bucket, key, upload, number, data):
        return self.send("PUT", bucket, key, [("partNumber", str(number)), ("uploadId", upload)], body=data)

    def complete(self, bucket, key, upload, parts):
        """`parts` are (number, etag)."""
        rows = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
        return self.send("POST", bucket, key, [("uploadId", upload)],
                         body=f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode())

    def abort(self, bucket, key, upload):
        return self.send("DELETE", bucket, key, [("uploadId", upload)])


def shifted(seconds):
    """A time for `now` that is off by so many seconds."""
    return time.time() + seconds
