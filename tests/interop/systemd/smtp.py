"""A mail server that wants a login and keeps what it is sent. Usage: smtp.py PORT USER PASSWORD DIRECTORY"""

import base64
import pathlib
import socketserver
import sys

PORT, USER, PASSWORD, DIRECTORY = int(sys.argv[1]), sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4])


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        known = False
        self.say("220 proof ESMTP")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    self.say("250-proof")
                    self.say("250 AUTH PLAIN")
                case "AUTH":
                    _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
                    known = (user, password) == (USER, PASSWORD)
                    self.say("235 welcome" if known else "535 who is that")
                case "MAIL" | "RCPT":
                    self.say("250 ok" if known else "530 log in first")
                case "DATA":
                    self.say("354 go on")
                    self.keep()
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 ok")

    def keep(self):
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        name = f"{len(list(DIRECTORY.iterdir())):04}.eml"
        (DIRECTORY / name).write_bytes(b"".join(lines))
        self.say("250 kept")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", PORT), Session) as server:
    server.serve_forever()
