"""XMP is kept as words under known names, read as XML in any encoding, and never obeyed."""

import time

import pytest

from facepriv.image.xmp import kept_xmp

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'


def packet(inside, spaces=DC, attributes="", start='<x:xmpmeta xmlns:x="adobe:ns:meta/">', end="</x:xmpmeta>"):
    about = f'<rdf:Description rdf:about="" {spaces} {attributes}>'
    return f"{start}<rdf:RDF {RDF}>{about}{inside}</rdf:Description></rdf:RDF>{end}"


TITLE = "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Łódź &amp; a walk</rdf:li></rdf:Alt></dc:title>"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be"])
def test_words_are_kept_from_every_encoding(codec):
    kept = kept_xmp(packet(TITLE).encode(codec)).decode()
    assert '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Łódź &amp; a walk</rdf:li></rdf:Alt></dc:title>' in kept
    assert kept_xmp(kept) == kept.encode()


def test_properties_are_kept_in_every_spelling():
    spaces = (
        'xmlns:a="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:r="http://ns.adobe.com/xap/1.0/rights/"'
    )
    inside = (
        "<a:subject><rdf:Bag><rdf:li>walk</rdf:li><rdf:li>spring</rdf:li></rdf:Bag></a:subject><a:creator><rdf:Seq>"
        '<rdf:li>Zoë</rdf:li></rdf:Seq></a:creator><r:WebStatement rdf:resource="https://example.org/rights"/>'
    )
    kept = kept_xmp(packet(inside, spaces, 'photoshop:City="Łódź"')).decode()
    for element in (
        "<dc:subject><rdf:Bag><rdf:li>walk</rdf:li><rdf:li>spring</rdf:li></rdf:Bag></dc:subject>",
        "<dc:creator><rdf:Seq><rdf:li>Zoë</rdf:li></rdf:Seq></dc:creator>",
        "<photoshop:City>Łódź</photoshop:City>",
        "<xmpRights:WebStatement>https://example.org/rights</xmpRights:WebStatement>",
    ):
        assert element in kept


MOTION = (
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
    'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
)


def test_offsets_of_a_motion_photos_video_are_dropped():
    inside = (
        "<Container:Directory><rdf:Seq><rdf:li rdf:parseType='Resource'><Container:Item Item:Mime='video/mp4' "
        f"Item:Length='98765'/></rdf:li></rdf:Seq></Container:Directory>{TITLE}"
    )
    motion = 'GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="98765"'
    kept = kept_xmp(packet(inside, f"{DC} {MOTION}", motion)).decode()
    assert "a walk" in kept
    assert not [word for word in ("98765", "Motion", "MicroVideo", "Container", "video", "google") if word in kept]
    assert kept_xmp(packet("", MOTION, motion)) == b""


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "lol lol lol lol "><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>'
)
FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
BAD = {
    "entities": packet("<dc:title>&d;</dc:title>", start=BOMB, end=""),
    "a file": packet("<dc:title>&f;</dc:title>", start=FILE, end=""),
    "depth": packet(f"<dc:title>{'<a>' * 100_000}{'</a>' * 100_000}</dc:title>"),
    "a wide container": packet(f"<dc:subject><rdf:Bag>{'<rdf:li>word word</rdf:li>' * 30_000}</rdf:Bag></dc:subject>"),
    "size": packet("<dc:title>" + "a " * 10**7 + "</dc:title>"),
    "unbound prefixes": "<rdf:RDF><rdf:Description dc:title='a walk'/></rdf:RDF>",
    "half a packet": packet(TITLE)[:300],
    "no characters": b"\xff\xfe\0\xd8\0\xd8<",
    "nothing": b"",
    "a number": 7,
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_xmp_is_dropped_in_no_time(name):
    bad = BAD[name]
    start = time.process_time()
    kept = kept_xmp(bad.encode() if isinstance(bad, str) else bad)
    assert time.process_time() - start < 5
    assert len(kept) < 5000
    assert b"lol" not in kept
    assert b"root:" not in kept
    if name != "a wide container":
        assert kept == b""


def test_a_packet_that_no_segment_holds_is_dropped():
    assert kept_xmp(packet("".join(f"<dc:{n}>{'word ' * 300}</dc:{n}>" for n in ("title", "rights"))))
    names = "contributor coverage creator date description language publisher relation rights source subject title"
    words = f"<rdf:Bag>{f'<rdf:li>{chr(0x540D) * 1900}</rdf:li>' * 20}</rdf:Bag>"
    assert kept_xmp(packet("".join(f"<dc:{n}>{words}</dc:{n}>" for n in names.split()))) == b""
