"""The operating system's packages of an image, from dpkg's own notes: either kind of them, and who needs whom."""

import pytest

from sbom import collect
from sbom.collect import Pieces
from sbom.errors import DocumentInvalid

pytestmark = pytest.mark.verifies("REQ-SBM-002")

LIBC = """Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <libc@lists.example.org>
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 and more of it
"""
TOOL = """Package: tool
Status: install ok installed
Architecture: all
Version: 1:2.0
Pre-Depends: libc6 (>= 2.34)
Depends: awk | missing, virtual:any
"""
AWK = """Package: mawk
Status: install ok installed
Architecture: amd64
Version: 1.3
Maintainer: Somebody <https://example.org/awk>
Provides: awk, virtual (= 1)
"""
GONE = """Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n', "utf-8")
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    return tmp_path


def found(root):
    pieces = Pieces(components=[], depends={"urn:medai-flow:product": []}, complete=[], unknowns=[])
    collect.debian_packages(root, pieces)
    return pieces


def names(pieces, ref):
    by_ref = {each["bom-ref"]: each["name"] for each in pieces.components}
    return {by_ref[needed] for needed in pieces.depends[ref]}


def test_each_installed_package_of_the_status_file_is_a_component(root):
    (root / "var/lib/dpkg/status").write_text("\n".join((LIBC, TOOL, AWK, GONE)), "utf-8")
    made = found(root).components
    assert {(each["name"], each["version"]) for each in made} == {
        ("libc6", "2.36-9+deb12u10"), ("tool", "1:2.0"), ("mawk", "1.3"),
    }  # fmt: skip
    (libc,) = (each for each in made if each["name"] == "libc6")
    assert libc["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12"
    assert libc["supplier"] == {"name": "GNU Libc Maintainers", "contact": [{"email": "libc@lists.example.org"}]}


def test_an_image_with_a_file_for_each_package_gives_the_same(root):
    (root / "var/lib/dpkg/status").write_text("\n".join((LIBC, AWK)), "utf-8")
    whole = found(root).components
    (root / "var/lib/dpkg/status").unlink()
    (root / "var/lib/dpkg/status.d").mkdir()
    for name, text in (("libc6", LIBC), ("mawk", AWK), ("libc6.md5sums", "0 x")):
        (root / "var/lib/dpkg/status.d" / name).write_text(text, "utf-8")
    assert found(root).components == whole


def test_a_package_needs_what_provides_what_it_asks_for(root):
    (root / "var/lib/dpkg/status").write_text("\n".join((LIBC, TOOL, AWK)), "utf-8")
    pieces = found(root)
    (tool,) = (each["bom-ref"] for each in pieces.components if each["name"] == "tool")
    assert names(pieces, tool) == {"libc6", "mawk"}


def test_an_image_without_dpkgs_notes_is_refused(root):
    with pytest.raises(DocumentInvalid, match="dpkg"):
        found(root)


def test_an_image_that_does_not_say_what_it_is_is_refused(root):
    (root / "var/lib/dpkg/status").write_text(LIBC, "utf-8")
    (root / "etc/os-release").unlink()
    with pytest.raises(DocumentInvalid, match="os-release"):
        found(root)


def test_a_maintainer_with_a_site_in_place_of_an_address_is_a_supplier_with_a_site(root):
    (root / "var/lib/dpkg/status").write_text(AWK, "utf-8")
    assert found(root).components[0]["supplier"] == {"name": "Somebody", "url": ["https://example.org/awk"]}
