"""The native face of the B2 simulator: downloads by name and id, and as much of the API as mints a token for them."""

import base64
import binascii
import json
import secrets
import urllib.parse

import http1
import sigv4
from b2_account import NO_STORE, Failure
from b2_s3 import Call

OPERATIONS = {"b2_download_file_by_name": "B", "b2_download_file_by_id": "B", "b2_authorize_account": "C",
              "b2_get_download_authorization": "C", "b2_list_buckets": "C", "bad_request": "C"}
OVERRIDES = {"b2ContentDisposition": "content-disposition", "b2ContentLanguage": "content-language",
             "b2Expires": "expires", "b2CacheControl": "cache-control", "b2ContentEncoding": "content-encoding",
             "b2ContentType": "content-type"}
_LONGEST_S = 604_800


class Token:
    """What a download token, or an account's, opens and until when."""

    def __init__(self, key, expires_s, bucket=None, prefix="", overrides=None, download=False):
        self.key, self.expires_s, self.bucket, self.prefix = key, expires_s, bucket, prefix
        self.overrides, self.download = overrides or {}, download


class NativeCall(Call):
    @property
    def price(self):
        return OPERATIONS[self.operation]


class FriendlyFace:
    def __init__(self, account, urls):
        self.account = account
        self._urls = urls  # gives (url of this face, url of the S3 face)
        self.tokens = {}

    def route(self, request):
        pairs = sigv4.parse_query(request.query)
        path = urllib.parse.unquote_plus(request.path, errors="surrogateescape")
        if path.startswith("/file/"):
            bucket, _, key = path[6:].partition("/")
            return NativeCall("b2_download_file_by_name", bucket or None, key or None, pairs)
        name = request.path.rpartition("/")[2]
        if path.startswith("/b2api/v") and name in OPERATIONS:
            call = NativeCall(name, None, None, pairs)
            if name == "b2_download_file_by_id":
                found = self._by_id(call.query.get("fileId"))
                call.bucket, call.key = (found[0].name, found[1].key) if found else (None, None)
            return call
        return NativeCall("bad_request", None, None, pairs)

    def _by_id(self, version_id):
        for bucket in self.account.buckets.values():
            for key in bucket.keys():
                if (version := bucket.find(key, version_id)) is not None:
                    return bucket, version
        return None

    def answer(self, request, call):
        try:
            with self.account.lock:
                if call.operation.startswith("b2_download"):
                    return self._download(request, call)
                if call.operation == "b2_authorize_account":
                    return self._authorize_account(request)
                if call.operation == "b2_list_buckets":
                    return self._list_buckets(request, call)
                if call.operation == "b2_get_download_authorization":
                    return self._get_download_authorization(request, call)
                raise Failure(400, "bad_request", "unknown call")
        except Failure as failure:
            return self.failure(failure)

    @staticmethod
    def failure(failure):
        body = {"code": failure.code, "message": failure.message, "status": failure.status}
        return http1.Answer(failure.status, [("Cache-Control", NO_STORE), *failure.fields,
                                             ("Content-Type", "application/json;charset=utf-8")],
                            json.dumps(body, indent=2).encode())

    @staticmethod
    def common_fields():
        return [("Server", "nginx"), ("Strict-Transport-Security", "max-age=63072000")]

    # --- tokens ---

    def mint(self, key, seconds, **scope):
        text = ("3_" if scope.get("download") else "4_") + secrets.token_urlsafe(48)
        self.tokens[text] = Token(key, self.account.now() + seconds, **scope)
        return text

    def expire(self, download=True):
        """Ends what b2_get_download_authorization gave, or b2_authorize_account, now; returns how many that were."""
        ended = [token for token in self.tokens.values()
                 if token.download == download and token.expires_s > self.account.now()]
        for token in ended:
            token.expires_s = self.account.now()
        return len(ended)

    def _token(self, text):
        token = self.tokens.get(text)
        if token is None or token.key.id not in self.account.keys:
            raise Failure(401, "bad_auth_token", "Invalid authorization token")
        if token.expires_s <= self.account.now():
            raise Failure(401, "expired_auth_token", "Authorization token has expired")
        return token

    def _authorize_account(self, request):
        scheme, _, encoded = (request.get("authorization") or "").partition(" ")
        try:
            key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            key_id = secret = ""
        key = self.account.keys.get(key_id)
        if scheme.lower() != "basic" or key is None or key.secret != secret:
            raise Failure(401, "unauthorized", "")
        here, s3 = self._urls()
        bucket = self.account.buckets.get(key.bucket)
        allowed = {"buckets": [{"id": bucket.id, "name": bucket.name}] if bucket else None,
                   "capabilities": sorted(key.capabilities), "namePrefix": key.prefix or None}
        storage = {"apiUrl": here, "downloadUrl": here, "s3ApiUrl": s3, "recommendedPartSize": 100_000_000,
                   "absoluteMinimumPartSize": 5_000_000, "allowed": allowed}
        return self._json({"accountId": self.account.id, "authorizationToken": self.mint(key, 24 * 3600),
                           "applicationKeyExpirationTimestamp": None, "apiInfo": {"storageApi": storage}})

    @staticmethod
    def _json(content):
        return http1.Answer(200, [("Cache-Control", NO_STORE), ("Content-Type", "application/json;charset=utf-8")],
                            json.dumps(content).encode())

    def _account_call(self, request, call):
        """(key, parameters) of a call that an account's token opens."""
        token = self._token(request.get("authorization"))
        if token.download:
            raise Failure(401, "bad_auth_token", "Not the token of an account")
        wanted = dict(call.query)
        if request.body:
            try:
                wanted = dict(json.loads(request.body))
            except (ValueError, TypeError):
                raise Failure(400, "bad_json", "The body is no JSON object") from None
        return token.key, wanted

    def _list_buckets(self, request, call):
        key, wanted = self._account_call(request, call)
        if wanted.get("accountId") != self.account.id:
            raise Failure(400, "bad_request", "not the account of this token")
        name, bucket_id = wanted.get("bucketName"), wanted.get("bucketId")
        allowed = self.account.buckets.get(key.bucket)
        asks_for_it = allowed is not None and (name == allowed.name or bucket_id == allowed.id)
        # A key of one bucket may list that one, and has to say so.
        if "listBuckets" not in key.capabilities or (key.bucket is not None and not asks_for_it):
            raise Failure(401, "unauthorized", "not entitled")
        found = [held for held in self.account.buckets.values()
                 if name in (None, held.name) and bucket_id in (None, held.id)]
        return self._json({"buckets": [
            {"accountId": self.account.id, "bucketId": held.id, "bucketName": held.name, "bucketInfo": held.info,
             "bucketType": "allPublic" if held.public else "allPrivate", "corsRules": [],
             "lifecycleRules": held.lifecycle,
             "options": ["s3"], "revision": 1} for held in found]})

    def _get_download_authorization(self, request, call):
        key, wanted = self._account_call(request, call)
        bucket = next((held for held in self.account.buckets.values() if held.id == wanted.get("bucketId")), None)
        try:
            seconds = int(wanted["validDurationInSeconds"])
            prefix = wanted["fileNamePrefix"]
        except (KeyError, ValueError, TypeError):
            raise Failure(400, "bad_request", "a parameter is missing or no number") from None
        if bucket is None:
            raise Failure(400, "bad_bucket_id", "no bucket has this id")
        if not 1 <= seconds <= _LONGEST_S:
            raise Failure(400, "bad_request", "validDurationInSeconds is out of range")
        if "shareFiles" not in key.capabilities or key.bucket not in (None, bucket.name) or not prefix.startswith(
                key.prefix):
            raise Failure(401, "unauthorized", "not entitled")
        overrides = {name: wanted[name] for name in OVERRIDES if name in wanted}
        text = self.mint(key, seconds, bucket=bucket.name, prefix=prefix, overrides=overrides, download=True)
        return self._json({"bucketId": bucket.id, "fileNamePrefix": prefix, "authorizationToken": text})

    # --- downloads ---

    def _permit(self, request, call, bucket):
        """Raises where the request may not read the key; the overrides of the answer that it may ask for."""
        text = request.get("authorization") or call.query.get("Authorization")
        asked = {name: call.query[name] for name in OVERRIDES if name in call.query}
        if text is None:
            if bucket is not None and not bucket.public:
                raise Failure(401, "unauthorized", "")
            if asked:
                raise Failure(400, "bad_request", "overrides need an authorized request")
            return asked
        token = self._token(text)
        call.caller = token.key
        if bucket is None:
            return asked
        prefixes = (token.prefix, token.key.prefix)
        if (token.bucket not in (None, bucket.name) or token.key.bucket not in (None, bucket.name)
                or not all((call.key or "").startswith(prefix) for prefix in prefixes)
                or "readFiles" not in token.key.capabilities and not token.download
                or any(asked.get(name) != value for name, value in token.overrides.items())):
            raise Failure(401, "unauthorized", "")
        return asked

    def _download(self, request, call):
        if request.method not in ("GET", "HEAD"):
            raise Failure(405, "method_not_allowed", "only GET and HEAD")
        by_id = call.operation == "b2_download_file_by_id"
        if not by_id and (not call.bucket or not call.key or call.key.endswith("/")):
            raise Failure(400, "bad_request", "no file name")
        bucket = self.account.buckets.get(call.bucket)
        asked = self._permit(request, call, bucket)
        version = None
        if bucket is not None:
            version = bucket.find(call.key, call.query.get("fileId")) if by_id else bucket.current(call.key)
        if version is None or version.marker:
            raise Failure(404, "not_found", "no such file")
        size = len(version.data)
        chosen = http1.parse_range(request.get("range"), size)
        if chosen == "unsatisfiable":
            raise Failure(416, "range_not_satisfiable", "the range lies outside of the file",
                          [("Content-Range", f"bytes */{size}")])
        kept = {"content-type": version.content_type, **version.headers, "cache-control": bucket.cache_control(version),
                **{OVERRIDES[name]: value for name, value in asked.items()}}
        fields = [*((name.title(), value) for name, value in kept.items()),
                  ("x-bz-file-name", sigv4.encode(version.key, keep="/")), ("x-bz-file-id", version.id),
                  ("x-bz-content-sha1", version.sha1), ("X-Bz-Upload-Timestamp", str(int(version.time_s * 1000))),
                  *((f"X-Bz-Info-{name}", sigv4.encode(value)) for name, value in version.info.items()),
                  ("Accept-Ranges", "bytes")]
        if chosen:
            first, last = chosen
            return http1.Answer(206, [*fields, ("Content-Range", f"bytes {first}-{last}/{size}")],
                                version.data[first:last + 1])
        return http1.Answer(200, fields, version.data)
