#!/usr/bin/python3
"""Mail servers for the tests, on a free port of 127.0.0.1, which is written to FOLDER/port.

    mail.py FOLDER SETTINGS        SETTINGS is JSON

A good one (aiosmtpd): {"tls": "none|starttls|smtps", "login": ["user", "password"], "refuse": [addresses], "greylist": true,
"refuse_sender": true, "refuse_mail": true, "needs_login": true}. Its certificate is FOLDER/data/server.crt with server.key. Each mail is
FOLDER/mails/N.json: the envelope, and what Python's own parser finds in the mail.

A bad one: {"hostile": "drip|hang|silent_after_mail|cut_after_greeting|cut_in_mail|stripped|refused_starttls|injects|garbage|endless|
binary|out_of_place|echoes|closing"}."""
import asyncio, base64, email, email.policy, json, os, socket, ssl, sys, threading, time

folder, settings = sys.argv[1], json.loads(sys.argv[2])
mails = os.path.join(folder, 'mails')
os.makedirs(mails, exist_ok=True)
listener = socket.create_server(('127.0.0.1', 0), backlog=64)


def tell_port():
    fresh = os.path.join(folder, 'port.new')
    with open(fresh, 'w') as file:
        file.write(str(listener.getsockname()[1]))
    os.rename(fresh, os.path.join(folder, 'port'))


def keep(sender, recipients, content):
    mail = email.message_from_bytes(content, policy=email.policy.default)
    parts = {part.get_content_type(): part.get_content().replace('\r\n', '\n') for part in mail.walk() if not part.is_multipart()}
    defects = [type(defect).__name__ for part in mail.walk() for defect in part.defects]
    defects += [type(defect).__name__ for value in mail.values() for defect in getattr(value, 'defects', ())]
    found = {
        'from': sender, 'to': recipients, 'headers': [[name, str(value)] for name, value in mail.items()], 'type': mail.get_content_type(),
        'text': parts.get('text/plain'), 'html': parts.get('text/html'), 'parts': sorted(parts), 'defects': defects,
        'ascii': content.isascii(), 'longest_line': max(map(len, content.split(b'\r\n'))), 'raw': content.decode('latin-1'),
    }
    number = len(os.listdir(mails)) + 1
    fresh = os.path.join(folder, 'mail.new')
    with open(fresh, 'w') as file:
        json.dump(found, file)
    os.rename(fresh, os.path.join(mails, '%05d.json' % number))


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(os.path.join(folder, 'data/server.crt'), os.path.join(folder, 'data/server.key'))
    return made


class Handler:
    seen = set()

    async def handle_MAIL(self, server, session, envelope, address, options):
        if settings.get('refuse_sender'):
            return '550 5.7.60 this login may not send as %s' % address
        envelope.mail_from = address
        return '250 OK'

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in settings.get('refuse', []):
            return '550 5.1.1 <%s>: no such user' % address
        if settings.get('greylist') and address not in self.seen:
            self.seen.add(address)
            return '451 4.7.1 greylisted, try again'
        if settings.get('needs_login') and not session.authenticated:
            return '554 5.7.1 Relay access denied'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        if settings.get('refuse_mail'):
            return '554 5.7.1 looks like spam'
        keep(envelope.mail_from, envelope.rcpt_tos, envelope.content)
        return '250 queued'


def good():
    from aiosmtpd.smtp import SMTP, AuthResult
    tls = settings.get('tls', 'none')
    login = settings.get('login')

    def authenticate(server, session, envelope, mechanism, data):
        is_right = login and [data.login.decode(), data.password.decode()] == login
        return AuthResult(success=bool(is_right), handled=True if is_right else False)

    def make():
        options = {'hostname': 'mail.test', 'loop': loop}
        if tls == 'starttls':
            options.update(tls_context=context(), require_starttls=True)
        if login:
            options.update(authenticator=authenticate, auth_require_tls=tls == 'starttls', auth_required=not settings.get('needs_login'))
        return SMTP(Handler(), **options)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(loop.create_server(make, sock=listener, ssl=context() if tls == 'smtps' else None))
    tell_port()
    loop.run_forever()


def hostile(kind, connection):
    say = lambda text: connection.sendall(text.encode() + b'\r\n')
    lines = connection.makefile('rb')
    if kind == 'hang':
        time.sleep(600)
    if kind == 'garbage':
        return say('HTTP/1.1 400 Bad Request\r\nServer: nginx')
    if kind == 'binary':
        return connection.sendall(bytes(range(256)) * 40)
    if kind == 'endless':
        while True:
            say('220-' + 'x' * 500)
    if kind == 'drip':
        while True:
            connection.sendall(b'2')
            time.sleep(0.2)
    if kind == 'closing':
        return say('421 4.3.2 shutting down')
    say('220 evil ESMTP')
    if kind == 'cut_after_greeting':
        return
    in_mail = False
    while True:
        line = lines.readline()
        if not line:
            return
        word = line.strip().upper()
        if in_mail:
            if kind == 'cut_in_mail':
                return
            if line == b'.\r\n':
                in_mail = False
                if kind == 'silent_after_mail':
                    time.sleep(600)
                say('354 go on' if kind == 'out_of_place' else '250 queued')
        elif word.startswith(b'EHLO'):
            offers = {'stripped': [], 'refused_starttls': ['STARTTLS'], 'injects': ['STARTTLS'], 'echoes': ['AUTH PLAIN LOGIN']}.get(kind, [])
            for offer in ['evil'] + offers:
                say('250-' + offer)
            say('250 8BITMIME')
        elif word == b'STARTTLS':
            if kind == 'refused_starttls':
                say('454 4.7.0 TLS not available')
            else:
                connection.sendall(b'220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n')
        elif word.startswith(b'AUTH'):
            coded = line.split()[-1]
            say('535 5.7.8 no: %s %s \x1b[31m' % (coded.decode(), base64.b64decode(coded).decode().replace('\0', ' ')))
        elif word == b'DATA':
            in_mail = True
            say('354 go')
        elif word == b'QUIT':
            say('221 bye')
            return
        else:
            say('250 ok')


def one(connection):
    try:
        hostile(settings['hostile'], connection)
    except OSError:
        pass
    finally:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()


if 'hostile' in settings:
    tell_port()
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()
else:
    good()
