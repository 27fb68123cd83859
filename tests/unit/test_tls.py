"""TLS: who is let in and who is not, and why; certificates replaced while routers are connected."""

import asyncio
import contextlib
import datetime
import os
import socket
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from rtr_server.config.transport import Limits, Listen, Tls
from rtr_server.config.values import Seconds
from rtr_server.endpoint import Endpoint
from rtr_server.transport.errors import TransportError
from rtr_server.transport.tls import server_context

RESET_QUERY = bytes.fromhex("0102000000000008")
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """A CA of the test, and the files and contexts that come of it."""

    def __init__(self, directory):
        self.ca = trustme.CA()
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))
        self.certificate, self.key = directory / "cert.pem", directory / "key.pem"
        self.renew()

    def renew(self):
        issued = self.ca.issue_cert("127.0.0.1", "cache.example")
        issued.private_key_pem.write_to_path(str(self.key))
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return issued

    def settings(self, **others):
        usual = {"certificate": self.certificate, "key": self.key, "client_ca": self.ca_file}
        return Tls(**{**usual, **others})

    def listen(self, **others):
        return {"tls": self.settings(**others)}

    def client(self, *names, ca=None, **dates):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if names:
            issued = (ca or self.ca).issue_cert(*names, common_name="r1.example", **dates)
            issued.configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


async def refused(served, context):
    """Connect with the context; the server must end it without a PDU."""
    with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
        reader, writer = await served.connect(ssl=context, server_hostname="cache.example")
        writer.write(RESET_QUERY)
        assert await reader.read() == b""
        writer.close()


def test_a_full_set_over_tls_with_both_certificates(
    run, serve, make_snapshot, authority, synchronize, logged
):
    data = make_snapshot(60_000)

    async def scenario():
        served = serve(data, listen=authority.listen())
        reader, writer = await served.connect(
            ssl=authority.client("127.0.0.1", "r1.example"), server_hostname="cache.example"
        )
        found = await synchronize(reader, writer, version=2)
        assert found.snapshot == data
        router = await served.router()
        assert (router.kind, router.identity) == ("tls", "r1.example")
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()
        await served.close()

    run(scenario)
    assert logged("router connected")[0]["identity"] == "r1.example"


@pytest.mark.parametrize(
    ("names", "dates", "reason"),
    [
        ((), {}, "no certificate of the router"),
        (("192.0.2.1",), {}, "refused: the certificate is for 192.0.2.1, not for 127.0.0.1"),
        (("r1.example",), {}, "refused: the certificate is for no address, not for 127.0.0.1"),
        (("127.0.0.1",), {"not_before": PAST, "not_after": PAST + datetime.timedelta(1)}, "has expired"),
    ],
)
def test_c48_certificates_that_are_refused(
    run, serve, make_snapshot, authority, logged, names, dates, reason
):
    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen())
        await refused(served, authority.client(*names, **dates))
        while served.server.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await served.close()

    run(scenario)
    told = logged("handshake failed") + [
        {"reason": f"refused: {line['reason']}"} for line in logged("router refused")
    ]
    assert len(told) == 1
    assert reason in str(told[0]["reason"])


def test_a_certificate_that_was_revoked(run, serve, make_snapshot, authority, logged, synchronize, tmp_path):
    context, other = authority.client(), authority.client("127.0.0.1")
    revoked = authority.ca.issue_cert("127.0.0.1")
    revoked.configure_cert(context)
    crl = tmp_path / "routers.crl"
    crl.write_bytes(revocation(authority.ca, revoked))

    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen(client_crl=crl))
        await refused(served, context)
        streams = await served.connect(ssl=other, server_hostname="cache.example")
        assert len((await synchronize(*streams)).snapshot) == 4
        streams[1].close()
        await served.close()

    run(scenario)
    assert "certificate revoked" in str(logged("handshake failed")[0]["reason"])


def revocation(ca, issued):
    """A list of the CA that revokes one certificate, as PEM."""
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    now = datetime.datetime.now(datetime.UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now)
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    listed = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
    listed = listed.last_update(now - datetime.timedelta(1)).next_update(now + datetime.timedelta(1))
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    signed = listed.add_revoked_certificate(entry.build()).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_of_somebody_else(run, serve, make_snapshot, authority, logged):
    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen())
        await refused(served, authority.client("127.0.0.1", ca=trustme.CA()))
        await served.close()

    run(scenario)
    (line,) = logged("handshake failed")
    assert "the certificate is refused" in line["reason"]


@pytest.mark.parametrize(
    ("others", "names"),
    [
        ({"client": "optional"}, ()),
        ({"client": "optional"}, ("127.0.0.1",)),
        ({"client": "none", "client_ca": None}, ()),
        ({"check_address": False}, ("192.0.2.1",)),
    ],
)
def test_what_may_be_loosened(run, serve, make_snapshot, authority, synchronize, others, names):
    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen(**others))
        streams = await served.connect(ssl=authority.client(*names), server_hostname="cache.example")
        assert len((await synchronize(*streams)).snapshot) == 4
        streams[1].close()
        await served.close()

    run(scenario)


def test_an_older_version_of_tls_is_refused_with_a_reason(run, serve, make_snapshot, authority, logged):
    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen())
        context = authority.client("127.0.0.1")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await served.connect(ssl=context, server_hostname="cache.example")
        await served.close()

    run(scenario)
    (line,) = logged("handshake failed")
    assert line["reason"] == "an older version of TLS: expected 1.3"


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        RESET_QUERY * 9,
        b"SSH-2.0-x\r\n",
        os.urandom(500),
        b"\x16",
    ],
    ids=["http", "rtr", "ssh", "random", "end of file"],
)
def test_what_is_no_tls(run, serve, make_snapshot, authority, logged, eventually, octets):
    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen())
        reader, writer = await served.connect()
        writer.write(octets)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert b"\x01\x03" not in await reader.read()
        writer.close()
        await eventually(lambda: not served.server.connections)
        await served.close()

    run(scenario)
    assert len(logged("handshake failed") + logged("connection not opened")) == 1


def test_a_stalled_handshake_blocks_nobody(
    run, serve, make_snapshot, authority, synchronize, logged, eventually
):
    """Of ten that say nothing, two have room; whoever comes then is served, and all ten are gone then."""

    async def scenario():
        limits = Limits(max_handshakes=2, handshake=Seconds(1))
        served = serve(make_snapshot(3), listen=authority.listen(), limits=limits)
        silent = [await served.connect() for _ in range(10)]
        streams = await served.connect(ssl=authority.client("127.0.0.1"), server_hostname="cache.example")
        assert len((await synchronize(*streams)).snapshot) == 4
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        await eventually(lambda: len(served.server.connections) == 1)
        streams[1].close()
        await served.close()

    run(scenario)
    assert len(logged("handshake cut off")) >= 8
    assert len(logged("handshake cut off")) + len(logged("connection not opened")) == 10


def test_another_certificate_without_losing_a_session(run, serve, make_snapshot, authority, synchronize):
    async def scenario():
        served = serve(make_snapshot(3), listen=authority.listen())
        context = authority.client("127.0.0.1")
        old = await served.connect(ssl=context, server_hostname="cache.example")
        await synchronize(*old)
        authority.renew()
        served.server.take(served.server.prepare(served.server.settings))
        new = await served.connect(ssl=context, server_hostname="cache.example")
        assert len((await synchronize(*new)).snapshot) == 4
        certificates = [
            writer.get_extra_info("ssl_object").getpeercert(binary_form=True) for _, writer in (old, new)
        ]
        assert certificates[0] != certificates[1]
        assert len((await synchronize(*old)).snapshot) == 4, "the first session goes on"
        authority.certificate.write_text("no certificate")
        with pytest.raises(TransportError, match=r"cert\.pem"):
            served.server.prepare(served.server.settings)
        last = await served.connect(ssl=context, server_hostname="cache.example")
        assert len((await synchronize(*last)).snapshot) == 4, "the last good one stays"
        for _, writer in (old, new, last):
            writer.close()
        await served.close()

    run(scenario)


def test_a_reader_that_stops_holds_little_and_delays_nobody(
    run, serve, make_snapshot, authority, synchronize, eventually
):
    """Under TLS too a stalled router costs a few slices, not the set of 12 MB."""

    async def scenario():
        served = serve(make_snapshot(600_000), listen=authority.listen())
        context = authority.client("127.0.0.1")
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, served.endpoint)
        _, writer = await asyncio.open_connection(
            sock=slow, ssl=context, server_hostname="cache.example", limit=1_024
        )
        writer.write(RESET_QUERY)
        writer.transport.pause_reading()
        router = await served.router()
        await eventually(lambda: router.session.pending and not router._writable)
        given = router.session.octets_out
        streams = await served.connect(ssl=context, server_hostname="cache.example")
        assert len((await synchronize(*streams)).snapshot) == 600_001
        assert router.session.octets_out - given < 1 << 20
        assert router._transport.get_write_buffer_size() < 1 << 20
        writer.transport.abort()
        streams[1].close()
        await served.close()

    run(scenario)


def test_files_that_cannot_be_used(authority, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("x.example").private_key_pem.write_to_path(str(other))
    with pytest.raises(TransportError, match=r"other\.pem: key values mismatch"):
        server_context(authority.settings(key=other))
    text = tmp_path / "text.pem"
    text.write_text("nothing\n")
    with pytest.raises(TransportError, match=r"text\.pem.*: expected PEM"):
        server_context(authority.settings(certificate=text))
    with pytest.raises(TransportError, match=r"missing\.pem: No such file"):
        server_context(authority.settings(client_ca=tmp_path / "missing.pem"))
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    with pytest.raises(TransportError, match=r"empty\.pem"):
        server_context(authority.settings(client_ca=empty))


def test_an_endpoint_that_is_there_twice(serve, run):
    async def scenario():
        served = serve()
        where = Listen(Endpoint("127.0.0.1", 0))
        with pytest.raises(TransportError, match="twice"):
            served.server.prepare(type(served.server.settings)((where, where)))
        await served.close()

    run(scenario)
