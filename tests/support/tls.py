"""Certificates made on the spot, and connections over TLS."""

import contextlib
import hashlib
import pathlib
import ssl
import subprocess
import tempfile

from tidepool import Wire

# Kinds of keys: the algorithm, and its options.
EC, RSA, ED25519 = ("ec", "ec_paramgen_curve:P-256"), ("rsa", "rsa_keygen_bits:2048"), ("ed25519",)


def openssl(*arguments, stdin=b""):
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr.decode()}"
    return done.stdout


class Authority:
    """A root and one that it has issued, which issues certificates for hosts. Files are in a folder of its own."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tidepool-ca-")
        self.folder = pathlib.Path(self._folder.name)
        self._number = 0
        self.root = self.folder / "root.pem"
        openssl("req", "-x509", "-newkey", EC[0], "-pkeyopt", EC[1], "-nodes", "-keyout", self.folder / "root.key",
                "-out", self.root, "-days", 30, "-subj", "/CN=root")
        self.middle, self._middle_key = self._issue("middle", EC, "basicConstraints=critical,CA:TRUE", self.root,
                                                    self.folder / "root.key", 30)

    def close(self):
        self._folder.cleanup()

    def _issue(self, name, kind, extension, issuer, issuer_key, days):
        self._number += 1
        base = self.folder / f"{self._number}"
        key, request, extensions, out = (base.with_suffix(end) for end in (".key", ".csr", ".ext", ".pem"))
        options = [part for option in kind[1:] for part in ("-pkeyopt", option)]
        openssl("req", "-newkey", kind[0], *options, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(extension + "\n")
        openssl("x509", "-req", "-in", request, "-CA", issuer, "-CAkey", issuer_key, "-CAcreateserial", "-out", out,
                "-days", days, "-extfile", extensions)
        return out, key

    def certificate(self, *hosts, kind=EC, days=20, uses="keyUsage=digitalSignature"):
        """{"chain_file": .., "key_file": ..} of a new one for these hosts; `uses` is one of its extensions."""
        names = ",".join(f"DNS:{host}" for host in hosts)
        leaf, key = self._issue(hosts[0] if hosts else "nobody", kind,
                                f"subjectAltName={names}\n{uses}" if hosts else uses, self.middle, self._middle_key, days)
        chain = leaf.with_suffix(".chain")
        chain.write_bytes(leaf.read_bytes() + self.middle.read_bytes())
        return {"chain_file": chain, "key_file": key}

    @staticmethod
    def pin(certificate):
        """The SHA-256 of its public key, as hex."""
        public = openssl("x509", "-in", certificate["chain_file"], "-noout", "-pubkey")
        return hashlib.sha256(openssl("pkey", "-pubin", "-outform", "der", stdin=public)).hexdigest()

    def client(self, version=None, protocols=(), ciphers=None, certificate=None):
        """How a client that trusts the root begins: of that version alone, or of any; with a certificate of its own."""
        context = ssl.create_default_context(cafile=self.root)
        if certificate is not None:
            context.load_cert_chain(certificate["chain_file"], certificate["key_file"])
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if ciphers:
            context.set_ciphers(ciphers)
        return context


class TlsWire(Wire):
    """One connection, of which the bytes within TLS are sent and read. An end without TLS's own is a reset."""

    def __init__(self, address, client, host="images.example", session=None, **options):
        super().__init__(address, **options)
        try:
            self.socket = client.wrap_socket(self.socket, server_hostname=host, session=session,
                                             suppress_ragged_eofs=False)
        except (OSError, ssl.SSLError):
            self.socket.close()
            raise

    @property
    def names(self):
        """The hosts of the certificate that was shown."""
        return {name for kind, name in self.socket.getpeercert()["subjectAltName"] if kind == "DNS"}

    def read_to_end(self):
        with contextlib.suppress(ssl.SSLEOFError):
            return super().read_to_end()
        return bytes(self.buffer), "rst"
