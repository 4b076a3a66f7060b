"""The XMP properties that may be copied: words under known names, in a packet built only from them.

A packet is read as XML, whatever its encoding and prefixes; namespaces are compared by URI. The listed namespaces
contain no thumbnails, depth maps, edit histories or offsets of a Motion Photo's video.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from facepriv.image.text import words

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,35}")
#: Maximum size of a packet read and of a packet written, in bytes; the latter fits one JPEG segment.
_MOST_READ, _MOST_WRITTEN = 2**20, 60_000
_MOST_ITEMS = 100
_CONTAINERS = ("Alt", "Bag", "Seq")
# URI -> prefix to write, and the names of properties.
_PROPERTIES = {
    "http://purl.org/dc/elements/1.1/": (
        "dc",
        "contributor coverage creator date description language publisher relation rights source subject title",
    ),
    "http://ns.adobe.com/xap/1.0/": ("xmp", "CreateDate CreatorTool Label MetadataDate ModifyDate Rating"),
    "http://ns.adobe.com/xap/1.0/rights/": ("xmpRights", "Marked Owner UsageTerms WebStatement"),
    "http://ns.adobe.com/photoshop/1.0/": (
        "photoshop",
        "AuthorsPosition CaptionWriter Category City Country Credit DateCreated Headline Instructions Source State "
        "SupplementalCategories TransmissionReference Urgency",
    ),
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": (
        "Iptc4xmpCore",
        "CountryCode IntellectualGenre Location Scene SubjectCode",
    ),
    "http://ns.adobe.com/tiff/1.0/": ("tiff", "Artist Copyright DateTime ImageDescription Make Model Software"),
    "http://ns.adobe.com/exif/1.0/": (
        "exif",
        "DateTimeDigitized DateTimeOriginal ExposureTime FNumber FocalLength GPSAltitude GPSAltitudeRef GPSLatitude "
        "GPSLongitude ISOSpeedRatings UserComment",
    ),
    "http://ns.adobe.com/exif/1.0/aux/": ("aux", "Lens OwnerName SerialNumber"),
}
#: ``{URI}name``, as ElementTree spells it -> ``prefix:name``.
_KNOWN = {
    f"{{{uri}}}{name}": f"{prefix}:{name}" for uri, (prefix, names) in _PROPERTIES.items() for name in names.split()
}
_BYTE_ORDERS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


def kept_xmp(packet: object) -> bytes:
    """Return a UTF-8 packet with the listed properties of `packet`; empty if there are none or it is not XMP.

    Parameters
    ----------
    packet : bytes or str
        As stored in the file, in UTF-8, UTF-16 or UTF-32; other encodings do not count as XMP.
    """
    try:
        root = _parsed(packet)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return b""
    lines: dict[str, str] = {}
    if root is not None:
        for description in root.iterfind(f".//{_RDF}RDF/{_RDF}Description"):
            for name, line in _properties(description):
                lines.setdefault(name, line)
    return _packet(lines.values()) if lines else b""


def _parsed(packet: object) -> ElementTree.Element | None:
    if isinstance(packet, bytes) and len(packet) <= _MOST_READ:
        codec = next((codec for start, codec in _BYTE_ORDERS if packet.startswith(start)), "utf-8-sig")
        text = packet.decode(codec)
    elif isinstance(packet, str) and len(packet) <= _MOST_READ:
        text = packet
    else:
        return None
    if "<!DOCTYPE" in text:
        return None  # not used in XMP; it could declare endlessly expanding entities
    return ElementTree.fromstring(text.strip("\ufeff\0 \t\r\n"))


def _properties(description: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield the name and the new element of each listed property that contains words."""
    for key, value in description.attrib.items():
        name = _KNOWN.get(key)
        if name and (text := words(value)):
            yield name, f"<{name}>{escape(text)}</{name}>"
    for element in description:
        name = _KNOWN.get(element.tag)
        if name and (content := _content(element)):
            yield name, f"<{name}>{content}</{name}>"


def _content(element: ElementTree.Element) -> str:
    """Return a property's words, plain or in an RDF container; empty for structures."""
    if not len(element):
        return escape(words(element.text or element.get(f"{_RDF}resource") or ""))
    container = element[0]
    kind = container.tag.removeprefix(_RDF)
    if len(element) > 1 or kind not in _CONTAINERS or container.tag == kind:
        return ""
    items = []
    for item in container.findall(f"{_RDF}li")[:_MOST_ITEMS]:
        text = "" if len(item) else words(item.text or "")
        language = item.get(_XML_LANG, "")
        if text:
            tongue = f" xml:lang={quoteattr(language)}" if _LANGUAGE.fullmatch(language) else ""
            items.append(f"<rdf:li{tongue}>{escape(text)}</rdf:li>")
    return f"<rdf:{kind}>{''.join(items)}</rdf:{kind}>" if items else ""


def _packet(lines: Iterable[str]) -> bytes:
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for uri, (prefix, _) in _PROPERTIES.items())
    text = "\n".join(
        (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF[1:-1]}">',
            f'<rdf:Description rdf:about=""{spaces}>',
            *lines,
            "</rdf:Description></rdf:RDF></x:xmpmeta>",
            '<?xpacket end="w"?>',
        )
    )
    packet = text.encode()
    return packet if len(packet) <= _MOST_WRITTEN else b""
