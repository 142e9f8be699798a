"""Runs `offhours mail test` against SMTP servers made with aiosmtpd, and parses what arrives.

Called by smtp.sh with the binary and a directory that holds ca.pem, stranger.pem, server.pem and server.key.
"""

import email
import email.policy
import json
import logging
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

PASSWORD = "Grün & gut: 8,5 %"
RECIPIENTS = ["finops@example.com", "team-a@example.com"]


class Inbox:
    """Keeps every mail, and everything a client said before it was trusted."""

    def __init__(self):
        self.mails = []
        self.commands = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(
            {
                "from": envelope.mail_from,
                "to": list(envelope.rcpt_tos),
                "content": envelope.original_content,
                "encrypted": server.transport.get_extra_info("ssl_object") is not None,
                "login": getattr(session, "auth_data", None),
            }
        )
        return "250 2.0.0 taken"


class Server(Controller):
    """One server on a free port of the loopback."""

    def __init__(self, ssl_context=None, **options):
        self.inbox, self.options = Inbox(), options
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(self.inbox, hostname="127.0.0.1", port=port, ssl_context=ssl_context)

    def factory(self):
        inbox = self.inbox

        class Listening(SMTP):
            async def _call_handler_hook(self, command, *arguments):
                inbox.commands.append(command)
                return await super()._call_handler_hook(command, *arguments)

            async def smtp_AUTH(self, arg):
                inbox.commands.append("AUTH")
                return await super().smtp_AUTH(arg)

        return Listening(inbox, hostname="localhost", **self.options)


def authenticator(server, session, envelope, mechanism, data):
    good = data.login == b"offhours" and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=good, auth_data="offhours" if good else None)


def tls(directory, certificate="server.pem"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / certificate, directory / "server.key")
    return context


def configuration(directory, url, password):
    """A configuration that says what `mail test` needs, and no more than is required besides."""
    home = directory / "home"
    (home / "schedules").mkdir(parents=True, exist_ok=True)
    write_secret(home / "password", password + "\n")
    write_secret(
        home / "key.json",
        json.dumps(
            {
                "clientid": "id",
                "clientsecret": "secret",
                "url": "https://login.example.com",
                "serviceurls": {"AI_API_URL": "https://api.example.com"},
            }
        ),
    )
    (home / "schedules" / "rules.toml").write_text(
        '[[rule]]\nname = "dev-evenings"\nstop = "0 19 * * MON-FRI"\nuntil = "0 7 * * MON-FRI"\nmode = "observe"\n'
        '[rule.select]\nresource_groups = ["dev-*"]\n'
    )
    recipients = ", ".join(f'"{address}"' for address in RECIPIENTS)
    (home / "offhours.toml").write_text(
        'timezone = "Europe/Berlin"\nschedules = "schedules"\nstate_dir = "state"\n'
        '[connection.dev]\nservice_key = "key.json"\n'
        f'[mail]\nsmtp = "{url}"\nusername = "offhours"\npassword_file = "password"\n'
        f'from = "offhours <offhours@example.com>"\nto = [{recipients}]\n'
    )
    return home / "offhours.toml"


def write_secret(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def mail_test(binary, directory, url, password=PASSWORD, authority="ca.pem"):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    environment["SSL_CERT_FILE"] = str(directory / authority)
    config = configuration(directory, url, password)
    done = subprocess.run(
        [binary, "mail", "test", "--config", config], env=environment, capture_output=True, text=True, timeout=60
    )
    output = done.stdout + done.stderr
    assert PASSWORD not in output, f"the password was printed:\n{output}"
    assert "panicked" not in output, output
    return done.returncode, output


def check_mail(mail, encrypted=True):
    assert mail["encrypted"] == encrypted, mail
    assert mail["from"] == "offhours@example.com", mail["from"]
    assert len(mail["to"]) == 1, f"one envelope has one recipient: {mail['to']}"
    assert all(len(line) < 998 for line in mail["content"].split(b"\r\n"))
    assert b"\n" not in mail["content"].replace(b"\r\n", b""), "a line end that is not CRLF"
    message = email.message_from_bytes(mail["content"], policy=email.policy.default)
    assert not message.defects, message.defects
    assert message["From"].addresses[0].addr_spec == "offhours@example.com"
    assert [address.addr_spec for address in message["To"].addresses] == mail["to"]
    assert message["Subject"].startswith("offhours: "), message["Subject"]
    assert message["Date"].datetime is not None
    assert re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", message["Message-ID"]), message["Message-ID"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"]
    text = message.get_body(preferencelist=("plain",))
    html = message.get_body(preferencelist=("html",))
    assert text is not None and text.get_content_charset() == "utf-8" and text.get_content().strip()
    assert html is not None and "<html" in html.get_content() and "<script" not in html.get_content()
    for part in message.walk():
        assert not part.defects, part.defects


def delivered(binary, directory, scheme, server):
    code, output = mail_test(binary, directory, f"{scheme}://localhost:{server.port}")
    assert code == 0, f"exit {code}:\n{output}"
    assert sorted(mail["to"][0] for mail in server.inbox.mails) == sorted(RECIPIENTS), server.inbox.mails
    for mail in server.inbox.mails:
        check_mail(mail)
        assert mail["login"] == "offhours"


def refused(binary, directory, url, server, said, **changed):
    code, output = mail_test(binary, directory, url, **changed)
    assert code == 1, f"exit {code}:\n{output}"
    assert not server.inbox.mails, "a mail was delivered"
    assert re.search(said, output, re.IGNORECASE), f"no {said!r} in:\n{output}"
    return server.inbox.commands


def main():
    binary, directory = sys.argv[1], pathlib.Path(sys.argv[2])

    def implicit():
        # aiosmtpd takes a connection that began with TLS for clear text, and would not offer a login on it.
        return Server(ssl_context=tls(directory), authenticator=authenticator, auth_required=True, auth_require_tls=False)

    def starttls():
        return Server(
            tls_context=tls(directory), require_starttls=True, authenticator=authenticator, auth_required=True,
            auth_exclude_mechanism=["PLAIN"],
        )

    def stripped():
        return Server(authenticator=authenticator, auth_require_tls=False)

    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    cases = [
        ("implicit TLS and login", implicit, lambda s: delivered(binary, directory, "smtps", s)),
        ("STARTTLS and AUTH LOGIN", starttls, lambda s: delivered(binary, directory, "smtp+starttls", s)),
    ]

    def wrong_password(server):
        url = f"smtps://localhost:{server.port}"
        refused(binary, directory, url, server, "login|535|password", password="wrong")

    def no_starttls(server):
        url = f"smtp+starttls://localhost:{server.port}"
        commands = refused(binary, directory, url, server, "STARTTLS")
        assert set(commands) <= {"EHLO", "HELO", "QUIT"}, f"sent in clear: {commands}"

    def unknown_authority(server):
        url = f"smtps://localhost:{server.port}"
        refused(binary, directory, url, server, "certificate|issuer", authority="stranger.pem")

    def unknown_authority_starttls(server):
        url = f"smtp+starttls://localhost:{server.port}"
        commands = refused(binary, directory, url, server, "certificate|issuer", authority="stranger.pem")
        assert "AUTH" not in commands and "MAIL" not in commands, commands

    def wrong_name(server):
        refused(binary, directory, f"smtps://127.0.0.1:{server.port}", server, "certificate|name")

    def expired():
        return Server(ssl_context=tls(directory, "expired.pem"), authenticator=authenticator, auth_require_tls=False)

    def out_of_date(server):
        commands = refused(binary, directory, f"smtps://localhost:{server.port}", server, "expired")
        assert "AUTH" not in commands and "MAIL" not in commands, commands

    cases += [
        ("a wrong password delivers nothing", implicit, wrong_password),
        ("a stripped STARTTLS sends nothing in clear", stripped, no_starttls),
        ("an unknown authority, implicit TLS", implicit, unknown_authority),
        ("an unknown authority, STARTTLS", starttls, unknown_authority_starttls),
        ("a certificate for another name", implicit, wrong_name),
        ("a certificate that has expired", expired, out_of_date),
    ]
    for name, start, check in cases:
        server = start()
        server.start()
        try:
            check(server)
        finally:
            server.stop()
        print(f"ok: {name}", flush=True)


if __name__ == "__main__":
    main()
