"""TLS as the edge and other clients speak it with the server: versions, certificates by name, tickets, reloads, and what is
no TLS at all."""

import os
import pathlib
import select
import signal
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402
import tls  # noqa: E402
import uploads  # noqa: E402
from http2 import NO_ERROR, Http2Wire  # noqa: E402
from pictures import picture  # noqa: E402
from tidepool import Wire, eventually, request  # noqa: E402
from tls import TlsWire  # noqa: E402

HOST = "images.example"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def setUpModule():
    global authority
    authority = tls.Authority()
    unittest.addModuleCleanup(authority.close)


def certificates(*files):
    return "".join(tidepool.toml_section("[[certificate]]", each) for each in files)


def with_tls(config=None, **tls_settings):
    return {"tls": {"listen": ["127.0.0.1:0"], **tls_settings}, **(config or {})}


class TlsCase(tidepool.OwnServerCase):
    """self.server listens for plain HTTP, TLS and admins; self.client is one that trusts its certificate."""

    def start(self, *files, config=None, **tls_settings):
        self.files = files or (authority.certificate(HOST),)
        self.server = self.serve(with_tls(config, **tls_settings), extra=certificates(*self.files))
        self.client = authority.client()
        return self.server

    def wire(self, client=None, **options):
        wire = TlsWire(self.server.tls[0], client or self.client, **options)
        self.addCleanup(wire.close)
        return wire

    def get(self, path, *fields, method="GET", **options):
        with TlsWire(self.server.tls[0], options.pop("client", self.client), **options) as wire:
            return wire.get(path, *fields, method=method)

    def handshakes(self, **labels):
        return self.server.metrics().sum("tidepool_tls_handshakes_total", **labels)

    def failures(self, reason):
        return self.server.metrics().sum("tidepool_tls_handshake_failures_total", reason=reason)


class Answers(TlsCase):
    def test_they_are_those_of_the_plain_listener(self):
        self.start()
        sizes = {"tiny": 1, "small": 3_000, "record": 16_384, "medium": 100_000, "large": 5_000_000}
        contents = {name: self.server.tree.image(f"{name}.jpg", size=size) for name, size in sizes.items()}
        for version in VERSIONS.values():
            with self.wire(authority.client(version)) as wire:
                for name, content in contents.items():
                    plain = self.server.get(f"/uploads/{name}.jpg")
                    etag = plain["etag"]
                    for again in range(2):  # from the disk, and from memory where it is small
                        sealed = wire.get(f"/uploads/{name}.jpg")
                        self.assertEqual((sealed.status, sealed.body == content), (200, True), (name, again))
                        changing = ("date", "cache-status")
                        self.assertEqual([field for field in sealed.fields if field[0] not in changing],
                                         [field for field in plain.fields if field[0] not in changing])
                    self.assertEqual(wire.get(f"/uploads/{name}.jpg", f"If-None-Match: {etag}").status, 304)
                    self.assertEqual(wire.get(f"/uploads/{name}.jpg", method="HEAD")["content-length"], str(len(content)))
                several = wire.get("/uploads/large.jpg", "Range: bytes=1-2000000,3000000-3000009,-5")
                self.assertEqual(several.status, 206)
                for part in (contents["large"][1:2_000_001], contents["large"][3_000_000:3_000_010], contents["large"][-5:]):
                    self.assertIn(part, several.body)
                self.assertEqual(wire.get("/uploads/none.jpg").status, 404)

    def test_many_requests_at_once(self):
        self.start()
        contents = [self.server.tree.image(f"{number}.jpg", size=1_000 + 9_000 * number) for number in range(20)]
        with self.wire() as wire:
            wire.send(b"".join(request(f"/uploads/{number}.jpg") for number in range(20)) * 3)
            for content in contents * 3:
                self.assertEqual(wire.response().body, content)

    def test_a_request_in_many_records(self):
        self.start()
        content = self.server.tree.image("a.jpg")
        with self.wire() as wire:
            self.assertEqual(wire.send_split(request("/uploads/a.jpg")).response().body, content)

    def test_a_slow_reader_gets_all_of_it(self):
        self.start()
        content = self.server.tree.image("a.jpg", size=8_000_000)
        with self.wire(receive_buffer=4096) as slow, self.wire() as other:
            slow.send(request("/uploads/a.jpg"))
            for _ in range(20):
                self.assertEqual(other.get("/uploads/a.jpg", "Range: bytes=0-9").body, content[:10])
            self.assertTrue(slow.response().body == content)

    def test_large_ones_from_memory_are_held_for_slow_readers_in_part_only(self):
        self.start(config={"cache": {"memory": "64MiB", "memory_object_max": "16MiB"}})
        content = self.server.tree.image("a.jpg", size=8_000_000)
        for _ in range(2):
            self.assertTrue(self.get("/uploads/a.jpg").body == content)
        def resident():
            status = pathlib.Path(f"/proc/{self.server.pid}/status").read_text()
            return int(status.partition("RssAnon:")[2].split()[0]) * 1024
        before = resident()
        slow = [self.wire(receive_buffer=4096) for _ in range(10)]
        for wire in slow:
            wire.send(request("/uploads/a.jpg"))
            wire.socket.read(100)
        if not tidepool.SANITIZED:
            self.assertLess(resident() - before, 20_000_000)
        self.assertEqual(self.get("/uploads/a.jpg").body[:10], content[:10])

    def test_a_reader_that_takes_nothing_is_cut_and_cannot_take_it_for_the_end(self):
        self.start(config={"timeouts": {"send_window": "1s", "min_send_rate": "64KiB"}})
        self.server.tree.image("a.jpg", size=16_000_000)
        with self.wire(receive_buffer=4096) as wire:
            wire.send(request("/uploads/a.jpg"))
            eventually(lambda: self.server.metrics().sum("tidepool_http_slow_readers_total") == 1, "it is given up")
            self.assertEqual(wire.read_to_end()[1], "rst")

    def test_the_last_one_ends_with_a_word(self):
        self.start()
        self.server.tree.image("a.jpg")
        for version in VERSIONS.values():
            with self.wire(authority.client(version)) as wire:
                self.assertTrue(wire.get("/uploads/a.jpg", "Connection: close").closes)
                self.assertEqual(wire.read_to_end(), (b"", "fin"))

    def test_who_says_no_more_is_let_go(self):
        self.start()
        self.server.tree.image("a.jpg")
        with self.wire() as wire:
            wire.get("/uploads/a.jpg")
            self.assertIsInstance(wire.socket.unwrap(), socket.socket, "which is answered")
        eventually(lambda: self.server.metrics().sum("tidepool_connections") == 0, "it is closed")


class Certificates(TlsCase):
    def names(self, host, **options):
        with self.wire(host=host, **options) as wire:
            return wire.names

    def test_the_one_for_the_name_that_is_asked_for(self):
        self.start(authority.certificate("first.example", "www.first.example"), authority.certificate("*.other.example"),
                   authority.certificate("one.other.example"))
        for host, names in (("first.example", {"first.example", "www.first.example"}),
                            ("WWW.First.Example", {"first.example", "www.first.example"}),
                            ("two.other.example", {"*.other.example"}), ("one.other.example", {"one.other.example"})):
            with self.subTest(host=host):
                self.assertEqual(self.names(host), names)
        lenient = authority.client()
        lenient.check_hostname = False
        for host in ("strange.example", "a.b.other.example", "other.example", None):
            with self.subTest(host=host):
                self.assertEqual(self.names(host, client=lenient), {"first.example", "www.first.example"})

    def test_of_two_for_a_name_that_which_the_client_understands(self):
        self.start(authority.certificate(HOST, kind=tls.RSA), authority.certificate(HOST))
        for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"):
            with self.subTest(cipher=cipher), self.wire(authority.client(VERSIONS["1.2"], ciphers=cipher)) as wire:
                self.assertEqual(wire.socket.cipher()[0], cipher)

    def test_new_ones_are_taken_over_with_a_signal(self):
        self.start()
        content = self.server.tree.image("a.jpg")
        with self.wire() as old:
            old.get("/uploads/a.jpg")
            self.replace(authority.certificate(HOST, "new.example"))
            eventually(lambda: self.names(HOST) == {HOST, "new.example"}, "it is shown")
            self.assertEqual(old.get("/uploads/a.jpg").body, content)

    def replace(self, files):
        """Puts others where the server's are, and has it read them."""
        for what in ("chain_file", "key_file"):
            os.replace(files[what], self.files[0][what])
        mark = len(self.server.log())
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration (not )?reloaded", after=mark)

    def test_broken_ones_are_not(self):
        self.start()
        self.server.tree.image("a.jpg")
        broken = authority.certificate("new.example")
        broken["key_file"].write_text("nonsense")
        self.replace(broken)
        self.server.wait_log(r'configuration not reloaded, the old one is kept reason="certificate\[1\]: .*no key can be read')
        self.assertEqual(self.names(HOST), {HOST})

    def check(self, *files, **tls_settings):
        """(status, what it printed) of `tidepool check`."""
        folder = self.folder_for_checks()
        path = folder / "tidepool.toml"
        sections = {"catalog": {"url": ""}, **with_tls(**tls_settings)}
        path.write_text("".join(tidepool.toml_section(f"[{name}]", each) for name, each in sections.items())
                        + certificates(*files) + tidepool.toml_section("[[pool]]", {"name": "hot", "base_path": folder}))
        status, out, error = tidepool.run_tool("check", "-c", str(path))
        return status, out + error

    def folder_for_checks(self):
        folder = authority.folder / "check"
        folder.mkdir(exist_ok=True)
        return folder

    def test_check_says_what_they_are_for(self):
        status, out = self.check(authority.certificate(HOST, "*.images.example"), authority.certificate(HOST, kind=tls.RSA))
        self.assertEqual(status, 0, out)
        self.assertRegex(out, r"certificate\[1\]: ECDSA for images\.example, \*\.images\.example until \d{4}-\d\d-\d\d\n"
                              r"certificate\[2\]: RSA for images\.example until ")

    def test_check_says_what_is_wrong_with_them(self):
        good, other = authority.certificate(HOST), authority.certificate(HOST)
        missing = authority.folder / "none.pem"
        sealed, empty, upside_down = (authority.folder / name for name in ("sealed.key", "empty.pem", "upside-down.pem"))
        tls.openssl("pkey", "-in", good["key_file"], "-aes256", "-passout", "pass:secret", "-out", sealed)
        empty.write_text("")
        leaf = good["chain_file"].read_bytes()
        upside_down.write_bytes(leaf + authority.root.read_bytes() + authority.middle.read_bytes())
        weak = authority.certificate(HOST, kind=("rsa", "rsa_keygen_bits:1024"))
        for files, said in (({**good, "chain_file": missing}, "none.pem"), ({**good, "key_file": missing}, "none.pem"),
                            ({**good, "key_file": other["key_file"]}, "is not the key of the first certificate"),
                            ({**good, "key_file": sealed}, "expected PEM that is not encrypted"),
                            ({**good, "key_file": good["chain_file"]}, "no key can be read"),
                            ({**good, "chain_file": empty}, "certificate 1 cannot be read"),
                            ({**good, "chain_file": upside_down}, "certificate 3 was not issued by certificate 4"),
                            (authority.certificate(), "names no host"), (weak, "key too small")):
            with self.subTest(said=said):
                status, out = self.check(files)
                self.assertEqual(status, 1, out)
                self.assertIn(said, out)
                self.assertIn("certificate[1]", out)
        self.assertEqual(self.check()[0], 2)
        self.assertIn("there is no certificate", self.check()[1])

    def test_check_says_what_no_client_takes(self):
        wrong = [({"kind": ("ec", f"ec_paramgen_curve:{curve}")}, f"clients take no key of type EC {curve}")
                 for curve in ("secp256k1", "brainpoolP256r1")]
        wrong.append(({"kind": ("ed448",)}, "clients take no key of type ED448"))
        wrong += [({"uses": uses}, "the first certificate is not for a server")
                  for uses in ("extendedKeyUsage=clientAuth", "keyUsage=keyEncipherment")]
        for made, said in wrong:
            with self.subTest(**made):
                files = authority.certificate(HOST, **made)
                status, out = self.check(files)
                self.assertEqual(status, 1, out)
                self.assertIn(f"certificate[1]: {files['chain_file']}: {said}", out)

    def test_all_kinds_of_keys(self):
        kinds = [tls.EC, ("ec", "ec_paramgen_curve:P-384"), ("ec", "ec_paramgen_curve:P-521"), tls.RSA, tls.ED25519]
        self.start(*(authority.certificate(f"{number}.example", kind=kind, uses="extendedKeyUsage=serverAuth")
                     for number, kind in enumerate(kinds)))
        for version in VERSIONS.values():
            for number in range(len(kinds)):
                self.assertEqual(self.names(f"{number}.example", client=authority.client(version)), {f"{number}.example"})

    def test_one_that_has_ended_is_told(self):
        ended = authority.certificate(HOST, days=0)
        status, out = self.check(ended)
        self.assertEqual(status, 0)
        self.assertIn("not in force today: certificate[1]: ECDSA for images.example", out)
        self.start(ended)
        self.server.wait_log(r"not in force today: certificate\[1\]")


class Handshakes(TlsCase):
    def test_versions(self):
        self.start()
        self.server.tree.image("a.jpg")
        for name, version in VERSIONS.items():
            self.assertEqual(self.get("/uploads/a.jpg", client=authority.client(version)).status, 200)
            self.assertEqual(self.handshakes(version=name, resumed="false"), 1)
        for old in ("-tls1", "-tls1_1"):
            self.assertIn(b"alert protocol version", self.s_client(old, "-cipher", "DEFAULT@SECLEVEL=0"))
        self.assertEqual(self.failures("refused"), 2)

    def s_client(self, *arguments):
        host, port = self.server.tls[0]
        done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        return done.stdout + done.stderr

    def test_weak_ciphers_are_refused(self):
        self.start(authority.certificate(HOST, kind=tls.RSA))
        for cipher in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "aNULL", "eNULL"):
            with self.subTest(cipher=cipher):
                self.assertIn(b"alert handshake failure", self.s_client("-tls1_2", "-cipher", cipher + ":@SECLEVEL=0"))

    def test_no_renegotiation(self):
        self.start()
        host, port = self.server.tls[0]
        done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2"], input=b"R\nQ\n",
                              capture_output=True, check=False)
        self.assertIn(b"no renegotiation", done.stderr)
        eventually(lambda: self.server.metrics().sum("tidepool_connections") == 0, "it ends")

    def test_only_the_newest_where_that_is_wanted(self):
        self.start(min_version="1.3")
        self.server.tree.image("a.jpg")
        self.assertEqual(self.get("/uploads/a.jpg", client=authority.client(VERSIONS["1.3"])).status, 200)
        with self.assertRaises(ssl.SSLError):
            self.get("/uploads/a.jpg", client=authority.client(VERSIONS["1.2"]))

    def resume(self, client, session):
        """Whether that session is taken up again, and the one that came of it."""
        with self.wire(client, session=session) as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
            return wire.socket.session_reused, wire.socket.session

    def test_a_ticket_spares_most_of_the_next(self):
        self.start()
        self.server.tree.image("a.jpg")
        for name, version in VERSIONS.items():
            with self.subTest(version=name):
                client = authority.client(version)
                is_reused, session = self.resume(client, None)
                self.assertFalse(is_reused)
                self.assertTrue(session.has_ticket)
                for _ in range(2):
                    is_reused, session = self.resume(client, session)
                    self.assertTrue(is_reused)
                self.server.signal(signal.SIGHUP)
                self.server.wait_log("configuration reloaded")
                is_reused, session = self.resume(client, session)
                self.assertTrue(is_reused, "its key outlives a reload")
                self.assertEqual(self.handshakes(version=name, resumed="true"), 3)

    def test_protocols(self):
        self.start()
        self.server.tree.image("a.jpg")
        for offered, chosen in [(["h2"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)]:
            with self.wire(authority.client(protocols=offered)) as wire:
                self.assertEqual(wire.socket.selected_alpn_protocol(), chosen)
                if chosen != "h2":
                    self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
            self.wire(authority.client(protocols=("h3",)))

    def test_what_is_no_tls_is_let_go(self):
        self.start()
        self.server.tree.image("a.jpg")
        for number, sent in enumerate((request("/uploads/a.jpg"), b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"\0" * 100), 1):
            with Wire(self.server.tls[0]) as wire:
                wire.send(sent)
                said, _ = wire.read_to_end()
                self.assertIn(said[:1], (b"", b"\x15"), "nothing, or an alert")
            eventually(lambda number=number: self.failures("refused") == number, "it is counted")
        self.assertEqual(self.get("/uploads/a.jpg").status, 200)

    def test_who_begins_and_does_not_go_on_is_not_waited_for(self):
        self.start(config={"timeouts": {"header": "300ms"}})
        hello = self.first_flight()
        for sent in (b"", hello[:1], hello[:100], hello):
            with self.subTest(sent=len(sent)), Wire(self.server.tls[0]) as wire:
                wire.send(sent)
                wire.read_to_end()
        self.assertEqual(self.failures("timeout"), 4)

    @staticmethod
    def first_flight():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority.client().wrap_bio(incoming, outgoing, server_hostname=HOST)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            return outgoing.read()
        raise AssertionError("it shook no hands")

    def test_who_leaves_in_between_is_forgotten(self):
        self.start()
        for end in ("close", "reset"):
            wire = Wire(self.server.tls[0])
            wire.send(self.first_flight()[:50])
            getattr(wire, end)()
        eventually(lambda: self.failures("closed") == 2, "they are counted")
        eventually(lambda: self.server.metrics().sum("tidepool_connections") == 0, "and gone")

    def test_above_the_limit_none_is_begun(self):
        self.start(config={"limits": {"connections_per_peer": 2, "connections_per_edge_peer": 2}})
        with self.wire(), self.wire():
            with Wire(self.server.tls[0]) as third:
                self.assertEqual(third.read_to_end()[0], b"")
        eventually(lambda: self.server.metrics().sum("tidepool_connections_dropped_total") == 1, "it is counted")


class ByHand(Wire):
    """TLS whose records are passed on only when the test says so."""

    def __init__(self, address, client, **options):
        super().__init__(address)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.sealed = client.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST, **options)

    def send_sealed(self):
        self.send(self.outgoing.read())

    def go_on(self, step):
        """What `step` of self.sealed returns once enough has come."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.send_sealed()
                self.incoming.write(self.socket.recv(65536))
            finally:
                self.send_sealed()


class Clients(TlsCase):
    """Authenticated origin pulls: who shows which certificate comes in."""

    def locked(self, **edge):
        self.server_files = authority.certificate(HOST)
        self.server = self.serve(self.sections(edge), extra=certificates(self.server_files))
        self.server.tree.image("a.jpg")

    @staticmethod
    def sections(edge):
        # So that none ends by itself.
        return with_tls({"edge": {"client_ca_files": [str(authority.root)], **edge}, "timeouts": {"idle": "5m", "idle_edge": "5m"}})

    def reload(self, **edge):
        mark = len(self.server.log())
        self.server.write_config(self.sections(edge), extra=certificates(self.server_files))
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)

    def status(self, certificate=None, version=None, client=None, session=None):
        with self.wire(client or authority.client(version, certificate=certificate), session=session) as wire:
            status = wire.get("/uploads/a.jpg").status
            self.session = wire.socket.session
            return status

    def refused(self):
        return self.server.metrics().sum("tidepool_edge_refused_total", reason="certificate")

    def test_only_who_shows_one_that_the_authority_issued(self):
        self.locked()
        stranger = tls.Authority()
        self.addCleanup(stranger.close)
        ended = authority.certificate("edge", days=0)
        for name, version in VERSIONS.items():
            with self.subTest(version=name):
                self.assertEqual(self.status(authority.certificate("edge"), version), 200)
                for wrong in (None, stranger.certificate("edge"), ended):
                    self.assertEqual(self.status(wrong, version), 403)
        self.assertEqual(self.refused(), 6)

    def test_nobody_can_on_the_plain_listener(self):
        self.locked()
        answer = self.server.get("/uploads/a.jpg")
        self.assertEqual((answer.status, answer["cache-control"], answer.closes), (403, "no-store", True))
        self.assertEqual(self.refused(), 1)

    def test_not_on_the_listeners_that_are_named(self):
        """The edge comes to one, the app to the other."""
        apart = {"tls": {"listen": ["127.0.0.3:0"]}}

        def sections(listener):
            return {**self.sections({"client_ca_except": [listener]}), **apart}

        self.server_files = authority.certificate(HOST)
        self.server = self.serve(sections("127.0.0.1:0"), extra=certificates(self.server_files))
        self.server.tree.image("a.jpg")
        self.assertEqual(self.status(authority.certificate("edge")), 200)
        self.assertEqual(self.status(), 403)
        self.assertEqual(self.server.get("/uploads/a.jpg").status, 200)
        mark = len(self.server.log())
        self.server.write_config(sections("127.0.0.3:0"), extra=certificates(self.server_files))
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.server.get("/uploads/a.jpg").status, 403)

    def test_a_ticket_of_one_who_came_in_is_as_good(self):
        self.locked()
        for version in VERSIONS.values():
            client = authority.client(version, certificate=authority.certificate("edge"))
            self.assertEqual(self.status(client=client), 200)
            self.assertEqual(self.status(client=client, session=self.session), 200)
            stranger = authority.client(version)
            self.assertEqual(self.status(client=stranger), 403)
            self.assertEqual(self.status(client=stranger, session=self.session), 403)
        self.assertEqual(self.handshakes(resumed="true"), 4)

    def test_of_one_key_alone(self):
        right, other = authority.certificate("edge"), authority.certificate("edge")
        self.locked(client_pins=[tls.Authority.pin(right)])
        self.assertEqual((self.status(right), self.status(other)), (200, 403))

    def test_another_authority_takes_the_place_of_the_first(self):
        self.locked()
        second = tls.Authority()
        self.addCleanup(second.close)
        old, new = authority.certificate("edge"), second.certificate("edge")
        both, alone = [str(authority.root), str(second.root)], [str(second.root)]
        client = authority.client(VERSIONS["1.2"], certificate=old)
        self.assertEqual((self.status(new), self.status(client=client)), (403, 200))
        ticket = self.session
        open_one = self.wire(authority.client(certificate=old))
        self.assertEqual(open_one.get("/uploads/a.jpg").status, 200)
        self.reload(client_ca_files=both)
        eventually(lambda: (self.status(old), self.status(new)) == (200, 200), "both come in")
        self.assertEqual(open_one.get("/uploads/a.jpg").status, 200)
        self.reload(client_ca_files=alone)
        eventually(lambda: (self.status(old), self.status(new)) == (403, 200), "only the new one does")
        self.assertEqual(self.status(client=client, session=ticket), 403, "a ticket of before opens nothing")
        self.assertEqual(open_one.get("/uploads/a.jpg").status, 403, "nor does a connection")

    def http2(self, client, **options):
        wire = Http2Wire(self.server.tls[0], client, **options)
        self.addCleanup(wire.close)
        return wire

    def resumed(self):
        """Connections by tickets, over which the image came: of TLS 1.2 and 1.3, and one of HTTP/2."""
        for version in VERSIONS.values():
            client = authority.client(version, certificate=authority.certificate("edge"))
            self.status(client=client)
            wires = [self.wire(client, session=self.session)]
            if version == VERSIONS["1.3"]:
                wires.append(self.http2(client, session=self.session))
                self.assertTrue(wires[1].wire.socket.session_reused)
            self.assertTrue(wires[0].socket.session_reused)
            for wire in wires:
                self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
                yield wire

    def test_who_came_by_a_ticket_stays_with_a_reload(self):
        self.locked()
        wires = list(self.resumed())
        self.reload()
        for wire in wires:
            self.assertEqual([wire.get("/uploads/a.jpg").status for _ in range(3)], [200] * 3)

    def test_who_came_by_a_ticket_comes_again_where_authorities_change(self):
        """Its chain is not in the ticket, so nobody knows what to make of it; and no request of its is refused for that."""
        self.locked()
        second = tls.Authority()
        self.addCleanup(second.close)
        large = self.server.tree.image("large.jpg", size=4_000_000)
        tls12, tls13, over_http2 = self.resumed()
        client = authority.client(VERSIONS["1.2"], certificate=authority.certificate("edge"))
        whole = self.wire(client)
        self.assertEqual(whole.get("/uploads/a.jpg").status, 200)
        slow = self.wire(client, session=whole.socket.session, receive_buffer=4096)
        slow.send(request("/uploads/large.jpg"))
        slow.socket.recv(1)
        self.reload(client_ca_files=[str(authority.root), str(second.root)])
        for wire in (tls12, tls13):
            self.assertEqual(wire.read_to_end(), (b"", "fin"))
        self.assertEqual(over_http2.read_to_end(), (1, NO_ERROR))
        self.assertEqual(whole.get("/uploads/a.jpg").status, 200, "its chain is known")
        rest, end = slow.read_to_end()
        self.assertTrue(rest.endswith(large[-3_000_000:]))
        self.assertEqual(end, "fin")
        self.assertEqual(self.status(client=client, session=whole.socket.session), 200)
        self.assertEqual(self.refused(), 0)

    def test_who_was_not_asked_comes_again(self):
        self.locked(client_ca_files=[])
        client = authority.client(certificate=authority.certificate("edge"))
        open_one = self.wire(client)
        self.assertEqual(open_one.get("/uploads/a.jpg").status, 200)
        self.reload()
        self.assertEqual(open_one.read_to_end(), (b"", "fin"))
        self.assertEqual(self.status(client=client), 200)
        open_one = self.wire(client)
        self.reload(client_ca_files=[])
        self.assertEqual(open_one.get("/uploads/a.jpg").status, 200)

    def test_a_handshake_that_began_before_is_judged_by_what_holds_when_it_ends(self):
        self.locked()
        second = tls.Authority()
        self.addCleanup(second.close)
        old = authority.client(VERSIONS["1.2"], certificate=authority.certificate("edge"))
        self.assertEqual(self.status(client=old), 200)
        whole, resumed = (ByHand(self.server.tls[0], old, session=session) for session in (None, self.session))
        for wire in (whole, resumed):
            self.addCleanup(wire.close)
            with self.assertRaises(ssl.SSLWantReadError):
                wire.sealed.do_handshake()
            wire.send_sealed()
            self.assertTrue(select.select([wire.socket], [], [], tidepool.PATIENCE_S)[0], "the server has begun")
        self.reload(client_ca_files=[str(second.root)])
        for wire in (whole, resumed):
            wire.go_on(wire.sealed.do_handshake)
        whole.sealed.write(request("/uploads/a.jpg"))
        self.assertEqual(whole.go_on(whole.sealed.read)[:12], b"HTTP/1.1 403")
        self.assertTrue(resumed.sealed.session_reused)
        self.assertEqual(resumed.go_on(resumed.sealed.read), b"", "it is ended")

    def test_one_that_was_not_allowed_is_judged_anew_as_well(self):
        second = tls.Authority()
        self.addCleanup(second.close)
        self.locked(lock="log")
        wire = self.http2(authority.client(certificate=second.certificate("edge")))
        would_refuse = lambda: self.server.metrics().sum("tidepool_edge_would_refuse_total", reason="certificate")  # noqa: E731
        for _ in range(2):
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        self.assertEqual(would_refuse(), 2)
        self.reload(client_ca_files=[str(authority.root), str(second.root)], lock="enforce")
        self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        self.assertEqual((would_refuse(), self.refused()), (2, 0))

    @unittest.skipIf(tidepool.SANITIZED, "measures what others would have to wait for")
    def test_all_that_are_open_stay_where_they_may(self):
        second = tls.Authority()
        self.addCleanup(second.close)
        trusted = {"trusted_ranges": ["127.0.0.1"]}
        self.locked(**trusted)
        client = authority.client(certificate=authority.certificate("edge"))
        wires = [self.wire(client) for _ in range(40)]
        # Nothing changes, one more is allowed, and then only the other.
        for authorities, status in (([authority], 200), ([authority, second], 200), ([second], 403)):
            self.reload(**trusted, client_ca_files=[str(each.root) for each in authorities])
            self.assertEqual({wire.get("/uploads/a.jpg").status for wire in wires}, {status})

    def test_nothing_is_believed_of_who_shows_none(self):
        """Of the log: with `lock = "log"` all come in, and are who they are."""
        self.locked(trusted_ranges=["127.0.0.1"], lock="log")
        path = self.server.folder / "access.log"
        self.server.stop_process()
        sections = self.sections({"trusted_ranges": ["127.0.0.1"], "lock": "log"})
        self.server = self.serve({**sections, "access_log": {"path": str(path), "flush_interval": "10ms"}},
                                 extra=certificates(self.server_files))
        self.server.tree.image("a.jpg")
        for certificate, client in ((None, "127.0.0.1"), (authority.certificate("edge"), "203.0.113.7")):
            with self.wire(authority.client(certificate=certificate)) as wire:
                self.assertEqual(wire.get("/uploads/a.jpg", "CF-Connecting-IP: 203.0.113.7").status, 200)
            entry = eventually(lambda: path.exists() and path.read_text().splitlines(), "it is logged")[-1]
            self.assertIn(f'"client":"{client}"', entry)
            path.write_text("")
        self.assertEqual(self.server.metrics().sum("tidepool_edge_would_refuse_total", reason="certificate"), 1)

    def test_what_is_wrong_with_the_files(self):
        folder = authority.folder / "clients"
        folder.mkdir(exist_ok=True)
        path = folder / "tidepool.toml"
        for edge, tls_section, status, said in (
                ({"client_ca_files": ["/nowhere/ca.pem"]}, True, 1, "edge.client_ca_files[1]: "),
                ({"client_ca_files": [str(authority.root)]}, False, 2, "nothing listens for it"),
                ({"client_pins": ["ab" * 32]}, True, 2, "nobody is asked for a certificate"),
                ({"client_ca_files": ["ca.pem"]}, True, 2, "expected an absolute path of a file"),
                ({"client_pins": ["abc"]}, True, 2, "64 hex digits"),
                ({"client_ca_files": [str(authority.root)], "client_ca_except": ["127.0.0.9:1"]}, True, 2,
                 "nothing listens on 127.0.0.9:1")):
            with self.subTest(said=said):
                sections = {"catalog": {"url": ""}, **(with_tls() if tls_section else {}), "edge": edge}
                path.write_text("".join(tidepool.toml_section(f"[{name}]", each) for name, each in sections.items())
                                + certificates(authority.certificate(HOST))
                                + tidepool.toml_section("[[pool]]", {"name": "hot", "base_path": folder}))
                found, out, error = tidepool.run_tool("check", "-c", str(path))
                self.assertEqual(found, status, out + error)
                self.assertIn(said, out + error)


class Lives(TlsCase):
    def test_idle_ones_end_with_the_server(self):
        self.start()
        self.server.tree.image("a.jpg")
        with self.wire() as wire:
            wire.get("/uploads/a.jpg")
            self.server.stop_process()
            self.assertEqual(wire.read_to_end(), (b"", "fin"))

    def test_a_successor_takes_the_listener(self):
        self.start()
        content = self.server.tree.image("a.jpg", size=4_000_000)
        with self.wire(receive_buffer=4096) as slow:
            slow.send(request("/uploads/a.jpg"))
            slow.read_exactly(1000)
            slow.buffer[:0] = b""
            old = self.server.take_over()
            self.assertEqual(self.get("/uploads/a.jpg").body, content)
            rest, _ = slow.read_to_end()
            self.assertTrue(content.endswith(rest[-1_000_000:]))
        self.assertEqual(self.server.exit_of(old), 0)


class Uploads(uploads.UploadCase):
    def test_a_file_comes_whole(self):
        files = authority.certificate(HOST)
        self.start(config=with_tls(), extra=certificates(files))
        client = authority.client()
        content = picture("png", 1500, 1000)
        body = uploads.form(uploads.file(content, "a.png"))
        with TlsWire(self.server.tls[0], client) as wire:
            wire.send(self.head_of(self.token(len(content)), len(body)) + body)
            self.assertEqual(wire.response().status, 200)
            wire.send(self.head_of(self.token(len(content)), len(body), "Expect: 100-continue"))
            self.assertEqual(wire.response().status, 100)
            wire.send(body)
            self.assertEqual(wire.response().status, 200)
        self.assertEqual(list(self.originals().values()), [content])


if __name__ == "__main__":
    unittest.main()
