"""RTR over TLS 1.3 (RFC 8210 §9.2, BCP 195): certificates of both ends, and what went wrong in words."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from typing import Any, cast

from rtr_server.config.transport import Tls
from rtr_server.config.web import Http
from rtr_server.transport.connection import LINGER, Connection, RefusedError
from rtr_server.transport.errors import TransportError

_REASONS = {
    "UNSUPPORTED_PROTOCOL": "an older version of TLS: expected 1.3",
    "WRONG_VERSION_NUMBER": "no TLS, or a version that is older than 1.3",
    "HTTP_REQUEST": "an HTTP request: expected TLS 1.3",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no certificate of the router",
}


class TlsOpener:
    """Handshakes under one set of certificates; another set needs another opener.

    TransportError: a file cannot be read, or certificate and key do not go together.
    """

    kind = "tls"

    def __init__(self, settings: Tls, handshake: float) -> None:
        self._check_address = settings.check_address
        self._handshake = handshake
        self._context = server_context(settings)

    async def open(self, router: Connection, connection: socket.socket) -> None:
        """Run the handshake; the router is connected afterwards. ssl.SSLError, OSError."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: router,
            connection,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake,
            ssl_shutdown_timeout=LINGER,
        )

    def admit(self, transport: asyncio.Transport) -> str:
        """The names of the router's certificate, if it has one and its address is among them."""
        certificate = cast(dict[str, Any] | None, transport.get_extra_info("peercert"))
        if not certificate:
            return ""
        host = str(transport.get_extra_info("peername")[0])
        if self._check_address and not is_named(host, certificate):
            listed = ", ".join(str(name) for name in addresses(certificate)) or "no address"
            raise RefusedError(f"the certificate is for {listed}, not for {host} (RFC 8210 section 9.2)")
        return identity(certificate)


def server_context(settings: Tls) -> ssl.SSLContext:
    """What OpenSSL needs; TransportError names the file that is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed session would not show its certificate again
    _load(
        f"{settings.certificate}, {settings.key}",
        lambda: context.load_cert_chain(settings.certificate, settings.key, password=_no_password),
    )
    if settings.client == "none":
        return context
    for path in filter(None, (settings.client_ca, settings.client_crl)):
        _load(str(path), lambda path=path: context.load_verify_locations(cafile=path))
    if settings.client_crl is not None:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = ssl.CERT_REQUIRED if settings.client == "required" else ssl.CERT_OPTIONAL
    return context


def https_context(settings: Http) -> ssl.SSLContext | None:
    """The same for HTTPS, None where plain HTTP is spoken; TransportError names the file that is wrong."""
    if settings.certificate is None or settings.key is None:
        return None
    context = server_context(Tls(certificate=settings.certificate, key=settings.key, client="none"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(what: str, load: Any) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise TransportError(f"{what}: {explain(error)}") from error
    except OSError as error:
        raise TransportError(f"{what}: {error.strerror or error}") from error


def _no_password() -> str:
    """OpenSSL would ask on the terminal, for ever where there is none."""
    raise TransportError("the private key is encrypted: expected it without a passphrase")


def explain(error: ssl.SSLError) -> str:
    """An error of OpenSSL in the words of an operator.

    >>> error = ssl.SSLError(1, "[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol")
    >>> error.reason = "UNSUPPORTED_PROTOCOL"
    >>> explain(error)
    'an older version of TLS: expected 1.3'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message}"
    if "PEM lib" in str(error):
        return "expected PEM: a certificate in the one, its private key in the other"
    if error.reason in _REASONS:
        return _REASONS[error.reason]
    return (error.reason or str(error)).replace("_", " ").lower()


def addresses(
    certificate: dict[str, Any],
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The iPAddress names of a certificate, as ``SSLSocket.getpeercert`` gives it.

    >>> addresses({"subjectAltName": (("DNS", "r1"), ("IP Address", "2001:DB8:0:0:0:0:0:1"))})
    [IPv6Address('2001:db8::1')]
    """
    names = certificate.get("subjectAltName", ())
    found = []
    for kind, value in names:
        if kind == "IP Address":
            try:
                found.append(ipaddress.ip_address(value.strip()))
            except ValueError:
                continue  # "<invalid>": four or sixteen octets are all that can be a name
    return found


def is_named(host: str, certificate: dict[str, Any]) -> bool:
    """Whether the address is one that the certificate names.

    >>> is_named("::ffff:192.0.2.1", {"subjectAltName": (("IP Address", "192.0.2.1"),)})
    True
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in addresses(certificate)


def identity(certificate: dict[str, Any]) -> str:
    """Who a certificate is for: its common name, else its names, else its serial number.

    >>> identity({"subject": ((("commonName", "r1.example.net"),),), "serialNumber": "01"})
    'r1.example.net'
    """
    subject = {name: value for part in certificate.get("subject", ()) for name, value in part}
    names = ", ".join(value for _, value in certificate.get("subjectAltName", ()))
    return str(subject.get("commonName") or names or certificate.get("serialNumber", ""))
