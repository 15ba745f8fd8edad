"""The S3 face of the B2 simulator: requests into operations, operations into answers, with B2's restrictions."""

import base64
import binascii
import hashlib
import re
import secrets
import time
import urllib.parse
import xml.etree.ElementTree
from xml.sax.saxutils import escape

import http1
import sigv4
from b2_account import NO_STORE, STORED_FIELDS, Failure, Upload, check_key

# operation: (price class, capability)
OPERATIONS = {
    "ListBuckets": ("C", "listBuckets"), "CreateBucket": ("C", "writeBuckets"), "DeleteBucket": ("C", "deleteBuckets"),
    "HeadBucket": ("C", "listBuckets"), "GetBucketLocation": ("C", "listBuckets"), "GetBucketAcl": ("C", "listBuckets"),
    "PutBucketAcl": ("C", "writeBuckets"), "GetBucketVersioning": ("C", "listBuckets"),
    "ListObjects": ("C", "listFiles"), "ListObjectsV2": ("C", "listFiles"), "ListObjectVersions": ("C", "listFiles"),
    "ListMultipartUploads": ("C", "listFiles"), "ListParts": ("C", "listFiles"), "DeleteObjects": ("A", "deleteFiles"),
    "GetObject": ("B", "readFiles"), "HeadObject": ("B", "readFiles"), "PutObject": ("A", "writeFiles"),
    "CopyObject": ("C", "writeFiles"), "DeleteObject": ("A", "deleteFiles"), "PutObjectAcl": ("C", "writeFiles"),
    "GetObjectAcl": ("C", "readFiles"), "CreateMultipartUpload": ("A", "writeFiles"), "UploadPart": ("A", "writeFiles"),
    "UploadPartCopy": ("C", "writeFiles"), "CompleteMultipartUpload": ("A", "writeFiles"),
    "AbortMultipartUpload": ("A", "writeFiles"), "NotImplemented": ("C", None),
}
_BUCKET_OPERATIONS = {
    ("GET", "location"): "GetBucketLocation", ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "versions"): "ListObjectVersions", ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "acl"): "GetBucketAcl", ("PUT", "acl"): "PutBucketAcl", ("POST", "delete"): "DeleteObjects",
}
_NOT_THERE = {"tagging", "policy", "website", "versioning", "logging", "accelerate", "requestPayment"}
_OVERRIDES = {"response-content-type": "content-type", "response-cache-control": "cache-control",
              "response-content-disposition": "content-disposition", "response-content-encoding": "content-encoding",
              "response-content-language": "content-language", "response-expires": "expires"}
_MAX_PAGE = 1000
_MAX_PARTS = 10_000


class Call:
    """What a request asks for, known before it is known whether it may."""

    def __init__(self, operation, bucket=None, key=None, pairs=()):
        self.operation, self.bucket, self.key = operation, bucket, key
        self.query = dict(pairs)
        self.caller = None  # the ApplicationKey that signed

    @property
    def price(self):
        return OPERATIONS[self.operation][0]


def _text(name, value):
    return f"<{name}>{escape(str(value))}</{name}>"


def _document(name, content, fields=(), status=200):
    body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{content}</{name}>")
    return http1.Answer(status, [*fields, ("Content-Type", "application/xml")], body.encode("utf-8", "surrogateescape"))


def _time(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds)) + f"{int(seconds * 1000) % 1000:03d}Z"


def _parse_xml(body):
    try:
        root = xml.etree.ElementTree.fromstring(body)
    except xml.etree.ElementTree.ParseError:
        raise Failure(400, "MalformedXML", "The XML is not well-formed") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


class S3Face:
    def __init__(self, account, region, page_size, min_part_size, copy_limit, conditional_gets):
        self.account, self.region, self.page_size = account, region, page_size
        self.min_part_size, self.copy_limit, self.conditional_gets = min_part_size, copy_limit, conditional_gets

    # --- from the request to the operation ---

    def route(self, request):
        pairs = sigv4.parse_query(request.query)
        path = urllib.parse.unquote_to_bytes(request.path.encode("latin-1")).decode("utf-8", "surrogateescape")
        host = re.sub(r":\d+$", "", request.get("host").lower())
        virtual = re.fullmatch(r"(.+?)\.(?:s3[.-].*|localhost)", host)
        if virtual:
            bucket, key = virtual[1], path[1:]
        else:
            bucket, _, key = path[1:].partition("/")
        names = {name for name, _ in pairs}
        return Call(self._operation(request, bucket, key, names), bucket or None, key or None, pairs)

    @staticmethod
    def _operation(request, bucket, key, names):
        method = request.method
        if not bucket:
            return "ListBuckets" if method == "GET" else "NotImplemented"
        if not key:
            for (wanted, name), operation in _BUCKET_OPERATIONS.items():
                if method == wanted and name in names:
                    return operation
            if names & _NOT_THERE:
                return "NotImplemented"
            if method == "GET":
                return "ListObjectsV2" if "list-type" in names else "ListObjects"
            return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}.get(method, "NotImplemented")
        if names & _NOT_THERE:
            return "NotImplemented"
        if "acl" in names:
            return {"GET": "GetObjectAcl", "PUT": "PutObjectAcl"}.get(method, "NotImplemented")
        if method == "PUT":
            copies = request.get("x-amz-copy-source") is not None
            if "uploadId" in names:
                return "UploadPartCopy" if copies else "UploadPart"
            return "CopyObject" if copies else "PutObject"
        if method == "POST":
            return ("CreateMultipartUpload" if "uploads" in names else
                    "CompleteMultipartUpload" if "uploadId" in names else "NotImplemented")
        if method == "DELETE":
            return "AbortMultipartUpload" if "uploadId" in names else "DeleteObject"
        if method == "GET" and "uploadId" in names:
            return "ListParts"
        return {"GET": "GetObject", "HEAD": "HeadObject"}.get(method, "NotImplemented")

    # --- answering ---

    def answer(self, request, call):
        try:
            with self.account.lock:
                answer = self._answer(request, call)
        except Failure as failure:
            answer = self.failure(failure)
        except sigv4.Refused as refused:
            answer = self.failure(Failure(refused.status, refused.code, refused.message))
        return answer

    @staticmethod
    def failure(failure):
        body = ('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Error>\n'
                f"    {_text('Code', failure.code)}\n    {_text('Message', failure.message)}\n</Error>\n")
        fields = [("Cache-Control", NO_STORE), ("Content-Type", "application/xml"), *failure.fields]
        return http1.Answer(failure.status, fields, body.encode())

    @staticmethod
    def common_fields():
        return [("Server", "nginx"), ("x-amz-request-id", secrets.token_hex(8)),
                ("x-amz-id-2", base64.b64encode(secrets.token_bytes(36)).decode()),
                ("Strict-Transport-Security", "max-age=63072000")]

    def _answer(self, request, call):
        secret_of = {key.id: key.secret for key in self.account.keys.values()}.get
        verified = sigv4.verify(request.method, request.path, request.query, request.fields, secret_of, self.region,
                                self.account.now())
        self._check_fields(request, call)
        self._check_body(request, verified)
        if call.operation == "NotImplemented":
            raise Failure(501, "NotImplemented", "The operation is not implemented")
        if verified is None:
            self._permit_anonymous(call)
        else:
            call.caller = self.account.keys[verified.key_id]
            self.permit(call, OPERATIONS[call.operation][1], call.bucket, call.key)
        return getattr(self, "_" + re.sub(r"(?<!^)([A-Z])", r"_\1", call.operation).lower())(request, call)

    @staticmethod
    def _check_fields(request, call):
        for name, _ in request.fields:
            if name.startswith("x-amz-checksum-") or name == "x-amz-sdk-checksum-algorithm":
                raise Failure(400, "InvalidArgument", f"Unsupported header '{name}' received for this API call.")
        if call.operation in ("PutObject", "CompleteMultipartUpload"):
            if request.get("if-none-match") or request.get("if-match"):
                raise Failure(501, "NotImplemented",
                              "A header you provided implies functionality that is not implemented")
        acl = request.get("x-amz-acl")
        if acl not in (None, "private", "public-read"):
            raise Failure(400, "InvalidArgument", f"Unsupported value for canned acl '{acl}'")

    @staticmethod
    def _check_body(request, verified):
        if verified is not None and verified.payload != sigv4.UNSIGNED:
            if verified.payload.startswith("STREAMING-"):
                raise Failure(501, "NotImplemented", "Streaming uploads are not implemented")
            if hashlib.sha256(request.body).hexdigest() != verified.payload:
                raise Failure(400, "XAmzContentSHA256Mismatch", "The body does not have the hash that was signed")
        given = request.get("content-md5")
        if given is not None:
            try:
                digest = base64.b64decode(given, validate=True)
            except binascii.Error:
                digest = b""
            if len(digest) != 16:
                raise Failure(400, "InvalidDigest", "The Content-MD5 is not valid")
            if digest != hashlib.md5(request.body).digest():
                raise Failure(400, "BadDigest", "The Content-MD5 does not match the body")

    def _permit_anonymous(self, call):
        if call.operation not in ("GetObject", "HeadObject") or not self.account.bucket(call.bucket).public:
            raise Failure(401, "UnauthorizedAccess", "The request is not signed")
        if set(call.query) & set(_OVERRIDES):
            raise Failure(400, "InvalidRequest", "Overrides of the answer need a signed request")

    @staticmethod
    def permit(call, capability, bucket, key):
        caller = call.caller
        if caller.bucket is not None and bucket is None:
            raise Failure(401, "UnauthorizedAccess", "The key is restricted to a bucket")
        name = call.query.get("prefix", "") if key is None and capability == "listFiles" else key
        if (capability not in caller.capabilities or caller.bucket not in (None, bucket)
                or (name is not None and not name.startswith(caller.prefix))):
            raise Failure(403, "AccessDenied", "not entitled")

    # --- buckets ---

    def _list_buckets(self, request, call):
        rows = "".join(f"<Bucket>{_text('Name', bucket.name)}{_text('CreationDate', _time(bucket.created_s))}</Bucket>"
                       for bucket in self.account.buckets.values())
        return _document("ListAllMyBucketsResult", f"<Buckets>{rows}</Buckets>")

    def _create_bucket(self, request, call):
        self.account.add_bucket(call.bucket, request.get("x-amz-acl") == "public-read")
        return http1.Answer(200, [("Location", f"/{call.bucket}")])

    def _delete_bucket(self, request, call):
        if self.account.bucket(call.bucket).keys():
            raise Failure(409, "BucketNotEmpty", "The bucket has versions or markers")
        del self.account.buckets[call.bucket]
        return http1.Answer(204)

    def _head_bucket(self, request, call):
        self.account.bucket(call.bucket)
        return http1.Answer(200)

    def _get_bucket_location(self, request, call):
        self.account.bucket(call.bucket)
        return _document("LocationConstraint", self.region)

    def _get_bucket_versioning(self, request, call):
        self.account.bucket(call.bucket)
        return _document("VersioningConfiguration", _text("Status", "Enabled"))

    def _get_bucket_acl(self, request, call):
        public = self.account.bucket(call.bucket).public
        grants = "<Grant><Permission>FULL_CONTROL</Permission></Grant>"
        if public:
            grants += ("<Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>"
                       "<Permission>READ</Permission></Grant>")
        return _document("AccessControlPolicy", f"<AccessControlList>{grants}</AccessControlList>")

    _get_object_acl = _get_bucket_acl

    def _put_bucket_acl(self, request, call):
        self.account.bucket(call.bucket).public = request.get("x-amz-acl") == "public-read"
        return http1.Answer(200)

    def _put_object_acl(self, request, call):
        self._object(call)
        self._check_acl(request, self.account.bucket(call.bucket))
        return http1.Answer(200)

    @staticmethod
    def _check_acl(request, bucket):
        """An object's list is that of its bucket or nothing."""
        acl = request.get("x-amz-acl")
        if acl is not None and (acl == "public-read") != bucket.public:
            raise Failure(400, "InvalidArgument", "The acl of an object must be that of its bucket")

    # --- objects ---

    def _object(self, call, key=None, version_id=None, bucket=None):
        """The version that a request means."""
        bucket = self.account.bucket(bucket or call.bucket)
        key = key or call.key
        version_id = version_id or call.query.get("versionId")
        if version_id:
            version = bucket.find(key, version_id)
            if version is None:
                raise Failure(404, "NoSuchVersion", "The specified version does not exist")
            if version.marker:
                raise Failure(405, "MethodNotAllowed", "The version is a delete marker",
                              [("x-amz-delete-marker", "true"), ("Allow", "DELETE")])
            return version
        version = bucket.current(key)
        if version is None:
            marker = [("x-amz-delete-marker", "true")] if bucket.versions(key) else []
            raise Failure(404, "NoSuchKey", "The specified key does not exist", marker)
        return version

    def _get_object(self, request, call):
        version = self._object(call)
        size = len(version.data)
        fields = {"content-type": version.content_type, **version.headers,
                  "cache-control": self.account.bucket(call.bucket).cache_control(version)}
        for parameter, name in _OVERRIDES.items():
            if parameter in call.query:
                fields[name] = call.query[parameter]
        answer = [("ETag", f'"{version.etag}"'), ("Last-Modified", http1.date(version.time_s)),
                  ("x-amz-version-id", version.id), ("Accept-Ranges", "bytes"),
                  *((name.title(), value) for name, value in fields.items()),
                  *((f"x-amz-meta-{name}", value) for name, value in version.info.items())]
        if self.conditional_gets and self._is_unchanged(request, version):
            return http1.Answer(304, answer)
        chosen = http1.parse_range(request.get("range"), size) if request.method == "GET" else None
        if chosen == "unsatisfiable":
            raise Failure(416, "InvalidRange", "The range cannot be satisfied", [("Content-Range", f"bytes */{size}")])
        if chosen:
            first, last = chosen
            return http1.Answer(206, [*answer, ("Content-Range", f"bytes {first}-{last}/{size}")],
                                version.data[first:last + 1])
        return http1.Answer(200, answer, version.data)

    _head_object = _get_object

    @staticmethod
    def _is_unchanged(request, version):
        """Whether If-None-Match says so; an If-Match that fails is a failure."""
        def names(field):
            return [item.strip() for item in request.get(field, "").split(",") if item.strip()]
        tags = {"*", f'"{version.etag}"'}
        if names("if-match") and not tags & set(names("if-match")):
            raise Failure(412, "PreconditionFailed", "The object has another ETag")
        return bool(tags & set(names("if-none-match")))

    @staticmethod
    def _described(request):
        """(content type, kept headers, metadata) that a request gives its object."""
        headers = {name: value for name in STORED_FIELDS if (value := request.get(name)) is not None}
        info = {name[11:]: value for name, value in request.fields if name.startswith("x-amz-meta-")}
        if sum(len(name) + len(value) for name, value in info.items()) > 7000:
            raise Failure(400, "MetadataTooLarge", "The metadata are too long")
        return request.get("content-type") or "application/octet-stream", headers, info

    def _put_object(self, request, call):
        bucket = self.account.bucket(call.bucket)
        self._check_acl(request, bucket)
        version = bucket.put(call.key, request.body, *self._described(request))
        return http1.Answer(200, [("ETag", f'"{version.etag}"'), ("x-amz-version-id", version.id)])

    def _source(self, request, call):
        """The version that x-amz-copy-source names."""
        path, _, query = request.get("x-amz-copy-source").partition("?")
        bucket, _, key = urllib.parse.unquote(path, errors="surrogateescape").lstrip("/").partition("/")
        if not bucket or not key:
            raise Failure(400, "InvalidArgument", "The copy source is no bucket and key")
        self.permit(call, "readFiles", bucket, key)
        version = self._object(call, key, dict(sigv4.parse_query(query)).get("versionId"), bucket)
        if len(version.data) >= self.copy_limit:
            raise Failure(400, "InvalidRequest", "The copy source is larger than what can be copied at once")
        return version

    def _copy_object(self, request, call):
        source = self._source(request, call)
        bucket = self.account.bucket(call.bucket)
        self._check_acl(request, bucket)
        directive = request.get("x-amz-metadata-directive") or "COPY"
        if directive not in ("COPY", "REPLACE"):
            raise Failure(400, "InvalidArgument", "The metadata directive is neither COPY nor REPLACE")
        if directive == "COPY" and bucket.current(call.key) is source:
            raise Failure(400, "InvalidRequest", "A copy onto itself must change something")
        described = (self._described(request) if directive == "REPLACE" else
                     (source.content_type, dict(source.headers), dict(source.info)))
        version = bucket.put(call.key, source.data, *described)
        return _document("CopyObjectResult",
                         _text("LastModified", _time(version.time_s)) + _text("ETag", f'"{version.etag}"'),
                         [("x-amz-version-id", version.id), ("x-amz-copy-source-version-id", source.id)])

    def _delete(self, bucket, key, version_id):
        """(version id, whether it is or was a marker) of what a deletion made or removed."""
        if not version_id:
            return bucket.hide(key).id, True
        removed = bucket.remove(key, version_id)
        return version_id, removed is not None and removed.marker

    def _delete_object(self, request, call):
        version_id, marker = self._delete(self.account.bucket(call.bucket), call.key, call.query.get("versionId"))
        fields = [("x-amz-delete-marker", "true")] if marker else []
        return http1.Answer(204, [("x-amz-version-id", version_id), *fields])

    def _delete_objects(self, request, call):
        bucket = self.account.bucket(call.bucket)
        if request.get("content-md5") is None:
            raise Failure(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        root = _parse_xml(request.body)
        objects = root.findall("Object")
        if root.tag != "Delete" or not 1 <= len(objects) <= _MAX_PAGE:
            raise Failure(400, "MalformedXML", "A deletion names between 1 and 1000 objects")
        rows = []
        for entry in objects:
            key, version_id = entry.findtext("Key") or "", entry.findtext("VersionId")
            try:
                check_key(key)
                self.permit(call, "deleteFiles", call.bucket, key)
                deleted, marker = self._delete(bucket, key, version_id)
            except Failure as failure:
                rows.append(f"<Error>{_text('Key', key)}{_text('Code', failure.code)}"
                            f"{_text('Message', failure.message)}</Error>")
                continue
            if root.findtext("Quiet") == "true":
                continue
            row = _text("Key", key) + (_text("VersionId", version_id) if version_id else "")
            if marker:
                row += _text("DeleteMarker", "true") + _text("DeleteMarkerVersionId", deleted)
            rows.append(f"<Deleted>{row}</Deleted>")
        return _document("DeleteResult", "".join(rows))

    # --- lists ---

    def _page(self, call):
        try:
            asked = int(call.query.get("max-keys", _MAX_PAGE))
        except ValueError:
            asked = -1
        if asked < 0:
            raise Failure(400, "InvalidArgument", "max-keys is no number")
        return min(asked, self.page_size, _MAX_PAGE)

    @staticmethod
    def _namer(call):
        """How names stand in the list: encoded where that was asked for."""
        encoding = call.query.get("encoding-type")
        if encoding not in (None, "url"):
            raise Failure(400, "InvalidArgument", "The encoding type is not known")
        if encoding is None:
            return lambda text: text
        return lambda text: urllib.parse.quote(text, safe="-._~/", errors="surrogateescape")

    @staticmethod
    def _group(key, prefix, delimiter):
        """The common prefix that a key falls under, or None."""
        if delimiter and (at := key.find(delimiter, len(prefix))) >= 0:
            return key[:at + len(delimiter)]
        return None

    def _listed(self, call, after):
        """(rows of a page, its common prefixes, the last name on it, whether there is more)."""
        bucket, page, name = self.account.bucket(call.bucket), self._page(call), self._namer(call)
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        rows, groups, last = [], [], after
        for key in bucket.keys_from(prefix, after):
            version = bucket.current(key)
            if version is None:
                continue
            group = self._group(key, prefix, delimiter)
            if group is not None and (groups and groups[-1] == group or after.startswith(group)):
                continue  # told before, on this page or on an earlier one
            if len(rows) + len(groups) >= page:
                return rows, groups, last, page > 0
            if group is not None:
                groups.append(group)
                last = group
                continue
            last = key
            rows.append(f"<Contents>{_text('Key', name(key))}{_text('LastModified', _time(version.time_s))}"
                        f"{_text('ETag', chr(34) + version.etag + chr(34))}{_text('Size', len(version.data))}"
                        f"{_text('StorageClass', 'STANDARD')}</Contents>")
        return rows, groups, last, False

    def _list_document(self, root, call, rows, groups, more, extra):
        name = self._namer(call)
        content = _text("Name", call.bucket) + _text("Prefix", name(call.query.get("prefix", "")))
        content += _text("MaxKeys", call.query.get("max-keys", _MAX_PAGE))
        for parameter, element in (("delimiter", "Delimiter"), ("encoding-type", "EncodingType")):
            if call.query.get(parameter):
                value = call.query[parameter]
                content += _text(element, name(value) if parameter == "delimiter" else value)
        content += _text("IsTruncated", "true" if more else "false") + extra + "".join(rows)
        content += "".join(f"<CommonPrefixes>{_text('Prefix', name(group))}</CommonPrefixes>" for group in groups)
        return _document(root, content)

    def _list_objects_v2(self, request, call):
        token, start = call.query.get("continuation-token"), call.query.get("start-after", "")
        if token is not None:
            try:
                start = base64.urlsafe_b64decode(token.encode()).decode("utf-8", "surrogateescape")
            except (binascii.Error, UnicodeError):
                raise Failure(400, "InvalidArgument", "The continuation token is not one of ours") from None
        rows, groups, last, more = self._listed(call, start)
        extra = _text("KeyCount", len(rows) + len(groups))
        if token is not None:
            extra += _text("ContinuationToken", token)
        if "start-after" in call.query:
            extra += _text("StartAfter", self._namer(call)(call.query["start-after"]))
        if more:
            mark = base64.urlsafe_b64encode(last.encode("utf-8", "surrogateescape")).decode()
            extra += _text("NextContinuationToken", mark)
        return self._list_document("ListBucketResult", call, rows, groups, more, extra)

    def _list_objects(self, request, call):
        marker = call.query.get("marker", "")
        rows, groups, last, more = self._listed(call, marker)
        extra = _text("Marker", self._namer(call)(marker))
        if more and call.query.get("delimiter"):
            extra += _text("NextMarker", self._namer(call)(last))
        return self._list_document("ListBucketResult", call, rows, groups, more, extra)

    def _list_object_versions(self, request, call):
        bucket, page, name = self.account.bucket(call.bucket), self._page(call), self._namer(call)
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        after, after_version = call.query.get("key-marker", ""), call.query.get("version-id-marker", "")
        if after_version and not after:
            raise Failure(400, "InvalidArgument", "A version-id-marker needs a key-marker")
        rows, groups, last, more = [], [], (after, after_version), False
        entries = ((after, version) for version in self._behind(bucket.versions(after), after_version))
        later = ((key, version) for key in bucket.keys_from(prefix, after) for version in bucket.versions(key))
        for key, version in (entry for part in ((entries if after_version else ()), later) for entry in part):
            group = self._group(key, prefix, delimiter)
            if group is not None and (groups and groups[-1] == group or after.startswith(group)):
                continue
            if len(rows) + len(groups) >= page:
                more = page > 0
                break
            if group is not None:
                groups.append(group)
                last = (group, "")
                continue
            last = (key, version.id)
            row = (_text("Key", name(key)) + _text("VersionId", version.id)
                   + _text("IsLatest", "true" if version is bucket.versions(key)[0] else "false")
                   + _text("LastModified", _time(version.time_s)))
            if version.marker:
                rows.append(f"<DeleteMarker>{row}</DeleteMarker>")
            else:
                rows.append(f"<Version>{row}{_text('ETag', chr(34) + version.etag + chr(34))}"
                            f"{_text('Size', len(version.data))}{_text('StorageClass', 'STANDARD')}</Version>")
        extra = _text("KeyMarker", name(after)) + _text("VersionIdMarker", after_version)
        if more:
            extra += _text("NextKeyMarker", name(last[0]))
            if last[1]:
                extra += _text("NextVersionIdMarker", last[1])
        return self._list_document("ListVersionsResult", call, rows, groups, more, extra)

    @staticmethod
    def _behind(versions, version_id):
        """Those that stand behind the one of this id."""
        seen = False
        for version in versions:
            if seen:
                yield version
            seen = seen or version.id == version_id

    # --- uploads in parts ---

    def _upload(self, call):
        upload = self.account.bucket(call.bucket).uploads.get(call.query.get("uploadId"))
        if upload is None or upload.key != call.key:
            raise Failure(404, "NoSuchUpload", "The specified upload does not exist")
        return upload

    def _create_multipart_upload(self, request, call):
        bucket = self.account.bucket(call.bucket)
        check_key(call.key)
        self._check_acl(request, bucket)
        upload = Upload(self.account.version_id(bucket), call.key, self.account.now(), *self._described(request))
        bucket.uploads[upload.id] = upload
        return _document("InitiateMultipartUploadResult", _text("Bucket", call.bucket) + _text("Key", call.key)
                         + _text("UploadId", upload.id))

    def _add_part(self, call, data):
        upload = self._upload(call)
        number = call.query.get("partNumber", "")
        if not re.fullmatch(r"[0-9]{1,6}", number) or not 1 <= int(number) <= _MAX_PARTS:
            raise Failure(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        if not data:
            raise Failure(400, "EntityTooSmall", "A part has at least one byte")
        upload.parts[int(number)] = (data, hashlib.md5(data).hexdigest(), self.account.now())
        return upload.parts[int(number)]

    def _upload_part(self, request, call):
        return http1.Answer(200, [("ETag", f'"{self._add_part(call, request.body)[1]}"')])

    def _upload_part_copy(self, request, call):
        source = self._source(request, call)
        data = source.data
        if request.get("x-amz-copy-source-range") is not None:
            chosen = http1.parse_range(request.get("x-amz-copy-source-range"), len(data))
            if chosen is None or chosen == "unsatisfiable":
                raise Failure(400, "InvalidArgument", "The range of the copy source is not valid")
            data = data[chosen[0]:chosen[1] + 1]
        _, etag, time_s = self._add_part(call, data)
        return _document("CopyPartResult", _text("LastModified", _time(time_s)) + _text("ETag", f'"{etag}"'))

    def _complete_multipart_upload(self, request, call):
        upload = self._upload(call)
        bucket = self.account.bucket(call.bucket)
        root = _parse_xml(request.body)
        named = []
        for part in root.findall("Part"):
            number = part.findtext("PartNumber") or ""
            named.append((int(number) if number.isdigit() else 0, (part.findtext("ETag") or "").strip('"')))
        numbers = [number for number, _ in named]
        if not named:
            raise Failure(400, "MalformedXML", "An upload has at least one part")
        if numbers != sorted(set(numbers)):
            raise Failure(400, "InvalidPartOrder", "The parts are not in ascending order")
        for number, etag in named:
            if number not in upload.parts or upload.parts[number][1] != etag:
                raise Failure(400, "InvalidPart", "A part was not found or has another ETag")
        for number in numbers[:-1]:
            if len(upload.parts[number][0]) < self.min_part_size:
                raise Failure(400, "EntityTooSmall", "A part but the last is smaller than what is allowed")
        parts = [upload.parts[number] for number in numbers]
        digest = hashlib.md5(b"".join(bytes.fromhex(etag) for _, etag, _ in parts)).hexdigest()
        version = bucket.put(call.key, b"".join(data for data, _, _ in parts), upload.content_type, upload.headers,
                             upload.info, etag=f"{digest}-{len(parts)}")
        del bucket.uploads[upload.id]
        return _document("CompleteMultipartUploadResult", _text("Bucket", call.bucket) + _text("Key", call.key)
                         + _text("ETag", f'"{version.etag}"'), [("x-amz-version-id", version.id)])

    def _abort_multipart_upload(self, request, call):
        del self.account.bucket(call.bucket).uploads[self._upload(call).id]
        return http1.Answer(204)

    def _list_parts(self, request, call):
        upload = self._upload(call)
        try:
            after = int(call.query.get("part-number-marker", 0))
            page = min(int(call.query.get("max-parts", _MAX_PAGE)), self.page_size)
        except ValueError:
            raise Failure(400, "InvalidArgument", "max-parts or part-number-marker is no number") from None
        numbers = [number for number in sorted(upload.parts) if number > after]
        more, numbers = len(numbers) > page, numbers[:page]
        content = _text("Bucket", call.bucket) + _text("Key", call.key) + _text("UploadId", upload.id)
        content += _text("PartNumberMarker", after) + _text("IsTruncated", "true" if more else "false")
        if more:
            content += _text("NextPartNumberMarker", numbers[-1])
        for number in numbers:
            data, etag, time_s = upload.parts[number]
            content += (f"<Part>{_text('PartNumber', number)}{_text('LastModified', _time(time_s))}"
                        f"{_text('ETag', chr(34) + etag + chr(34))}{_text('Size', len(data))}</Part>")
        return _document("ListPartsResult", content)

    def _list_multipart_uploads(self, request, call):
        bucket, prefix = self.account.bucket(call.bucket), call.query.get("prefix", "")
        mark = call.query.get("key-marker", ""), call.query.get("upload-id-marker", "")
        try:
            page = min(int(call.query.get("max-uploads", _MAX_PAGE)), self.page_size)
        except ValueError:
            raise Failure(400, "InvalidArgument", "max-uploads is no number") from None
        uploads = sorted(bucket.uploads.values(), key=lambda upload: (upload.key, upload.id))
        uploads = [upload for upload in uploads if upload.key.startswith(prefix)
                   and ((upload.key, upload.id) > mark if mark[1] else upload.key > mark[0])]
        more, uploads = len(uploads) > page, uploads[:page]
        name = self._namer(call)
        content = _text("Bucket", call.bucket) + _text("IsTruncated", "true" if more else "false")
        if more and uploads:
            content += _text("NextKeyMarker", name(uploads[-1].key)) + _text("NextUploadIdMarker", uploads[-1].id)
        for upload in uploads:
            content += (f"<Upload>{_text('Key', name(upload.key))}{_text('UploadId', upload.id)}"
                        f"{_text('Initiated', _time(upload.time_s))}</Upload>")
        return _document("ListMultipartUploadsResult", content)
