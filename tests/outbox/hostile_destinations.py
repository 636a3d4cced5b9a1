"""URLs that lead, or may be read as leading, where webhooks must not go."""

_PRIVATE_HOSTS = (
    "127.0.0.1 127.0.0.2 127.255.255.254 127.1 127.0.1 0 0.0.0.0 0.0.0.1 10.0.0.1 "
    "10.255.255.255 172.16.0.1 172.31.255.254 192.168.0.1 192.168.255.255 169.254.169.254 "
    "169.254.0.1 100.64.0.1 100.127.255.255 192.0.0.1 192.0.0.170 192.0.2.1 198.18.0.1 "
    "198.19.255.255 198.51.100.7 203.0.113.7 192.88.99.1 224.0.0.1 239.255.255.255 240.0.0.1 "
    "255.255.255.255 localhost LOCALHOST localhost."
)
_ODD_SPELLINGS = (
    "2130706433 017700000001 0x7f000001 0x7f.0.0.1 0x7F.1 0177.0.0.1 0177.1 127.0.0.01 "
    "00127.0.0.1 127.0x0.0.1 3232235521 0xc0a80001 0xa9fea9fe 2852039166 0251.0376.0251.0376 "
    "169.254.43518 1.1 8.8.2056 0x08080808 010.8.8.8 127.0.0.1. 2130706433. 127.0.0.1.. "
    "①②⑦.⓪.⓪.① 127。0。0。1 １２７.0.0.1 ⑯⑨。254。169。254 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ lo\u200bcalhost 127.0.0.1%2f@example.com "
    "127.0.0.1%00.example.com %31%32%37.0.0.1 exam%70le.com -example.com example-.com "
    "example..com .example.com a_b*.example.com foo,bar.example.com"
)
_SIX = (
    ":: ::1 0:0:0:0:0:0:0:1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe "
    "::127.0.0.1 ::7f00:1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe "
    "64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8 2002:7f00:1:: 2002:a9fe:a9fe:: 2002:808:808:: "
    "2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 2001:10::1 3fff::1 fc00::1 fd00:ec2::254 "
    "fe80::1 fe80::1%25eth0 fec0::1 ff02::1 ff0e::1 100::1 5f00::1 1::1 zz::1"
)
_FORMS = [
    "http://example.com/",
    "HTTP://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:25/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "//example.com/",
    "https:/example.com",
    "https:example.com",
    "https://",
    "https:///path",
    "https://?x",
    "https://:443/",
    "example.com",
    "/hooks",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com:443@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com\\.127.0.0.1/",
    "https://example.com#@127.0.0.1/",
    "https://example.com/#fragment",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example.com:x/",
    "https://example.com:80:80/",
    "https://[::1/",
    "https://::1]/",
    "https://[127.0.0.1]/",
    "https://[]/",
    "https://exam ple.com/",
    " https://example.com/",
    "https://example.com/ ",
    "https://example.com/\r\nHost: 127.0.0.1",
    "https://example.com/\tx",
    "https://example.com/ü",
    "https://example.com\n.127.0.0.1/",
    f"https://{'a' * 64}.example.com/",
    f"https://{'a.' * 130}example.com/",
    "https://127.0.0.1:8000/healthz",
    "https://[::1]:5432/",
]
URLS = [
    *_FORMS,
    *(f"https://{host}/hooks" for host in f"{_PRIVATE_HOSTS} {_ODD_SPELLINGS}".split()),
    *(f"https://[{host}]/hooks" for host in _SIX.split()),
]
FINE = [
    "https://example.com",
    "https://example.com/hooks?token=x%20y",
    "https://EXAMPLE.com:8443/a/b;c=d?e=f&g",
    "https://xn--bcher-kva.example/",
    "https://8.8.8.8/",
    "https://1.1.1.1:8443/x",
    "https://[2606:4700:4700::1111]/hooks",
    "https://[64:ff9b::8.8.8.8]/",
    "https://a_b.example.com/",
    "https://example.com./",
]
