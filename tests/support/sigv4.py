"""AWS Signature Version 4 for S3, both sides of it: the tests' client signs with it, the B2 simulator verifies with it.

Both build the canonical request by `canonical_request`, which decodes what stands on the wire and encodes it again, as
servers do; that it is right is held by the published example set in tests/system/sim_b2_test.py and by a real server in
tests/system/radosgw_test.py.
"""

import calendar
import collections
import hashlib
import hmac
import re
import time
import urllib.parse

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
SKEW_S = 15 * 60
LONGEST_S = 7 * 24 * 3600  # of a presigned URL

Key = collections.namedtuple("Key", "id secret")
Verified = collections.namedtuple("Verified", "key_id payload presigned")


class Refused(Exception):
    """A request whose signature is not accepted, in S3's words."""

    def __init__(self, status, code, message):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


# --- the canonical form -----------------------------------------------------------------------------------------------


def encode(text, keep=""):
    """Percent-encodes all but the unreserved characters (and those of `keep`), per byte, in upper case."""
    return urllib.parse.quote(text, safe="-._~" + keep)


def canonical_path(path):
    """The path of the wire, decoded and encoded again. S3 does this once and neither removes dots nor joins slashes."""
    return encode(urllib.parse.unquote_to_bytes(path.encode("latin-1")), keep="/") or "/"


def parse_query(query):
    """[(name, value)] of a raw query, decoded; a name without `=` has the empty value."""
    pairs = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        pairs.append(tuple(urllib.parse.unquote_plus(text, errors="surrogateescape") for text in (name, value)))
    return pairs


def canonical_query(pairs):
    def encoded(text):
        return encode(text.encode("utf-8", "surrogateescape"))
    return "&".join(f"{name}={value}" for name, value in sorted((encoded(n), encoded(v)) for n, v in pairs))


def canonical_request(method, path, pairs, fields, signed, payload):
    """`fields` are (lower-case name, value) in the order of the wire, `signed` the names that are covered."""
    lines = []
    for name in sorted(signed):
        values = [" ".join(value.split()) for field, value in fields if field == name]
        lines.append(f"{name}:{','.join(values)}\n")
    return "\n".join((method, canonical_path(path), canonical_query(pairs), "".join(lines), ";".join(sorted(signed)),
                      payload))


def _hmac(key, text):
    return hmac.digest(key, text.encode(), "sha256")


def signing_key(secret, day, region):
    return _hmac(_hmac(_hmac(_hmac(b"AWS4" + secret.encode(), day), region), "s3"), "aws4_request")


def scope(day, region):
    return f"{day}/{region}/s3/aws4_request"


def signature(secret, stamp, region, canonical):
    day = stamp[:8]
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return _hmac(signing_key(secret, day, region), "\n".join((ALGORITHM, stamp, scope(day, region), digest))).hex()


def chunk_signature(secret, stamp, region, previous, chunk):
    """The signature of one chunk of a streaming upload, which covers that of the chunk before it."""
    text = "\n".join((f"{ALGORITHM}-PAYLOAD", stamp, scope(stamp[:8], region), previous, EMPTY_SHA256,
                      hashlib.sha256(chunk).hexdigest()))
    return _hmac(signing_key(secret, stamp[:8], region), text).hex()


def stamp_of(seconds):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def seconds_of(stamp):
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp):
        raise ValueError(stamp)
    return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))


# --- signing ----------------------------------------------------------------------------------------------------------


def sign(key, region, method, host, path, pairs=(), fields=(), payload=EMPTY_SHA256, now=None, signed=None):
    """The fields to send: those given, with host, x-amz-date, x-amz-content-sha256 and authorization.

    `path` is the path of the wire. `payload` None leaves the content hash out (which S3 refuses); `signed` names what
    is covered instead of all fields.
    """
    stamp = stamp_of(time.time() if now is None else now)
    fields = [(name.lower(), value) for name, value in fields]
    fields += [("host", host), ("x-amz-date", stamp)]
    if payload is not None:
        fields.append(("x-amz-content-sha256", payload))
    names = sorted({name for name, _ in fields} if signed is None else signed)
    canonical = canonical_request(method, path, pairs, fields, names, UNSIGNED if payload is None else payload)
    authorization = (f"{ALGORITHM} Credential={key.id}/{scope(stamp[:8], region)}, SignedHeaders={';'.join(names)}, "
                     f"Signature={signature(key.secret, stamp, region, canonical)}")
    return [*fields, ("authorization", authorization)]


def presign(key, region, method, host, path, pairs=(), expires=900, now=None):
    """The raw query of a presigned URL."""
    stamp = stamp_of(time.time() if now is None else now)
    pairs = [*pairs, ("X-Amz-Algorithm", ALGORITHM), ("X-Amz-Credential", f"{key.id}/{scope(stamp[:8], region)}"),
             ("X-Amz-Date", stamp), ("X-Amz-Expires", str(expires)), ("X-Amz-SignedHeaders", "host")]
    canonical = canonical_request(method, path, pairs, [("host", host)], ["host"], UNSIGNED)
    return f"{canonical_query(pairs)}&X-Amz-Signature={signature(key.secret, stamp, region, canonical)}"


# --- verifying --------------------------------------------------------------------------------------------------------

_AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})")
_CREDENTIAL = re.compile(r"(.+)/(\d{8})/([^/]+)/s3/aws4_request")


def verify(method, path, query, fields, secret_of, region, now):
    """Verified of a request that is signed well, None of one that is not signed at all; else raises Refused.

    `secret_of` gives the secret of a key id, or None. Whether the body has the hash is for the caller to see.
    """
    pairs = parse_query(query)
    if any(name == "X-Amz-Algorithm" for name, _ in pairs):
        return _verify_query(method, path, pairs, fields, secret_of, region, now)
    values = [value for name, value in fields if name == "authorization"]
    if not values:
        return None
    match = _AUTHORIZATION.fullmatch(values[0]) if len(values) == 1 else None
    if not match:
        raise Refused(400, "InvalidRequest", "The Authorization header is not one of signature version 4")
    by_name = dict(fields)
    stamp = by_name.get("x-amz-date", "")
    try:
        then = seconds_of(stamp)
    except ValueError:
        raise Refused(403, "AccessDenied", "A valid x-amz-date header is needed") from None
    payload = by_name.get("x-amz-content-sha256")
    if payload is None:
        raise Refused(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    key_id, secret = _credential(match[1], stamp, secret_of, region)
    signed = match[2].split(";")
    _check_signed(signed, fields)
    if abs(then - now) > SKEW_S:
        raise Refused(403, "RequestTimeTooSkewed", "The time of the request and that of the server differ too much")
    canonical = canonical_request(method, path, pairs, fields, signed, payload)
    _compare(match[3], signature(secret, stamp, region, canonical))
    return Verified(key_id, payload, False)


def _verify_query(method, path, pairs, fields, secret_of, region, now):
    by_name = dict(pairs)
    try:
        stamp, given = by_name["X-Amz-Date"], by_name["X-Amz-Signature"]
        then, expires = seconds_of(stamp), int(by_name["X-Amz-Expires"])
        signed, credential = by_name["X-Amz-SignedHeaders"].split(";"), by_name["X-Amz-Credential"]
    except (KeyError, ValueError):
        raise Refused(400, "AuthorizationQueryParametersError", "A parameter of the signature is missing") from None
    if by_name["X-Amz-Algorithm"] != ALGORITHM or not 1 <= expires <= LONGEST_S:
        raise Refused(400, "AuthorizationQueryParametersError", "X-Amz-Expires or X-Amz-Algorithm is out of range")
    key_id, secret = _credential(credential, stamp, secret_of, region)
    _check_signed(signed, fields)
    if now > then + expires or then > now + SKEW_S:
        raise Refused(403, "AccessDenied", "Request has expired or is not valid yet")
    rest = [(name, value) for name, value in pairs if name != "X-Amz-Signature"]
    payload = dict(fields).get("x-amz-content-sha256", UNSIGNED)
    _compare(given, signature(secret, stamp, region, canonical_request(method, path, rest, fields, signed, payload)))
    return Verified(key_id, payload, True)


def _credential(text, stamp, secret_of, region):
    match = _CREDENTIAL.fullmatch(text)
    if not match or match[2] != stamp[:8] or match[3] != region:
        raise Refused(400, "AuthorizationHeaderMalformed", f"The scope is not that of {region} on {stamp[:8]}")
    secret = secret_of(match[1])
    if secret is None:
        raise Refused(403, "InvalidAccessKeyId", "The key id is not known")
    return match[1], secret


def _check_signed(signed, fields):
    present = {name for name, _ in fields}
    for name in signed:
        if name not in present:
            raise Refused(400, "InvalidRequest", f"header '{name}' is listed in signed headers, but is not present")
    if signed != sorted(signed) or "host" not in signed:
        raise Refused(400, "InvalidRequest", "The signed headers must be sorted and name the host")
    for name in present - set(signed):
        if name.startswith("x-amz-"):
            raise Refused(403, "AccessDenied", f"header '{name}' is present, but is not signed")


def _compare(given, right):
    if not hmac.compare_digest(given, right):
        raise Refused(403, "SignatureDoesNotMatch", "Signature validation failed")
