"""Files that may hold photos in formats that facepriv does not read; each is reported, none is skipped silently.

Videos, documents and icons are not photos. They count as ignored files.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath

_IMAGES = """
.apng .avci .avcs .avif .avifs .cin .dcm .dcx .dib .dicom .dpx .exr .fpx .gif .hdp .hdr .heic .heics .heif .heifs .hif
.iff .j2c .j2k .jbg .jbig .jfi .jfif .jif .jls .jng .jp2 .jpc .jpe .jpf .jpm .jps .jpx .jxl .jxr .miff .mng .mpo .pam
.pbm .pcd .pct .pcx .pfm .pgm .pict .pjp .pjpeg .pns .pnm .ppm .ptif .qoi .ras .rgb .rgba .sgi .svs .tga .thm .wbmp .wdp
"""
_EDITORS = ".afphoto .kra .ora .pdn .psb .psd .psp .pspimage .xcf"
_RAW = """
.3fr .arq .arw .bay .cr2 .cr3 .craw .crw .dcr .dng .drf .eip .erf .fff .gpr .iiq .k25 .kdc .lfp .lfr .lri .mdc .mef .mos
.mrw .nef .nrw .orf .ori .pef .ptx .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .x3f
"""
_ARCHIVES = ".7z .rar .tar .taz .tbz .tbz2 .tgz .tlz .txz .tzst .zip"
_COMPRESSED = ".br .bz2 .gz .lz .lz4 .lzma .xz .z .zst"

#: Suffixes of photo formats that facepriv does not read.
FOREIGN_SUFFIXES = frozenset(f"{_IMAGES} {_EDITORS} {_RAW}".split())
#: Suffixes of archives, which are not opened.
ARCHIVE_SUFFIXES = frozenset(_ARCHIVES.split())
#: Suffixes of single compressed files; the suffix before gives the format.
COMPRESSED_SUFFIXES = frozenset(_COMPRESSED.split())


def unread(name: PurePath, kinds: Collection[str], *, named: bool = False) -> str:
    """Return why a file that may hold photos is not read, and how to proceed; an empty text for any other file.

    Parameters
    ----------
    name : PurePath
        A path, or a member's name in a shard. Its suffix is not in `kinds`.
    kinds : collection of str
        Suffixes of the files that are read, in lower case with their dot.
    named : bool
        Whether the user named this file directly; then it counts whatever its suffix.
    """
    suffix = name.suffix.lower()
    compressed = suffix in COMPRESSED_SUFFIXES
    inner = PurePath(name.stem).suffix.lower() if compressed else suffix
    if inner in ARCHIVE_SUFFIXES or (compressed and (inner in kinds or inner in FOREIGN_SUFFIXES)):
        remedy = "unpack it first"
    elif named or inner in FOREIGN_SUFFIXES:
        remedy = "convert it first"
    else:
        return ""
    return f"not a kind of file that facepriv reads ({', '.join(sorted(kinds))}); {remedy}"
