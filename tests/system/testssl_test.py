"""What testssl.sh has to say about the TLS of the server: nothing but what is about the certificates of this test."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402
import tls  # noqa: E402

HOST = "images.example"
# Of certificates that no public authority issued, for 20 days, to a server asked by its address.
OF_THIS_TEST = ("cert_trust", "cert_chain_of_trust", "cert_expirationStatus", "cert_notAfter", "cert_revocation",
                "cert_crlDistributionPoints", "cert_ocspURL", "DNS_CAArecord")
CHECKS = ("--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--vulnerable")


@unittest.skipUnless(shutil.which("testssl"), "testssl.sh is not installed")
class Report(tidepool.OwnServerCase):
    def test_it_finds_nothing(self):
        authority = tls.Authority()
        self.addCleanup(authority.close)
        files = [authority.certificate(HOST), authority.certificate(HOST, kind=tls.RSA)]
        server = self.serve({"tls": {"listen": ["127.0.0.1:0"]}},
                            extra="".join(tidepool.toml_section("[[certificate]]", each) for each in files))
        report = authority.folder / "report.json"
        host, port = server.tls[0]
        # NO_ENGINE: it would try to load GOST's ciphers into its own OpenSSL and report whether that can be done on this machine.
        done = subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--add-ca", authority.root,
                               "--jsonfile", report, *CHECKS, f"{host}:{port}"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, env={**os.environ, "NO_ENGINE": "true"})
        print(done.stdout)
        findings = json.loads(report.read_text())
        looked_at = {finding["id"] for finding in findings}
        for check in ("TLS1_2", "TLS1_3", "heartbleed", "ROBOT", "PFS", "LUCKY13", "RC4", "BEAST"):
            self.assertIn(check, looked_at)
        self.assertEqual([finding for finding in findings if finding["severity"] not in ("OK", "INFO")
                          and finding["id"].split(" ")[0] not in OF_THIS_TEST], [])


if __name__ == "__main__":
    unittest.main()
