"""The folder of anchors: what is wrong with it is said, and never taken for a ledger without anchors."""

import pytest

from audit.anchors import FolderAnchor, require_folder
from audit.errors import LedgerUnavailable, SettingInvalid


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    return path


@pytest.mark.verifies("REQ-DEP-006")
def test_a_folder_that_is_not_there_yet_has_no_anchor(tmp_path):
    assert FolderAnchor(tmp_path / "none", ()).newest() is None


def test_a_folder_that_is_not_there_yet_lists_no_anchor(tmp_path):
    assert list(FolderAnchor(tmp_path / "none", ()).all()) == []


@pytest.mark.verifies("REQ-DEP-006")
def test_the_newest_anchor_of_what_is_no_folder_cannot_be_read(file):
    with pytest.raises(LedgerUnavailable):
        FolderAnchor(file, ()).newest()


def test_the_anchors_of_what_is_no_folder_cannot_be_read(file):
    with pytest.raises(LedgerUnavailable):
        list(FolderAnchor(file, ()).all())


@pytest.mark.verifies("REQ-DEP-006")
def test_what_is_no_folder_is_a_setting_that_cannot_be_obeyed(file):
    with pytest.raises(SettingInvalid, match="MEDAI_ANCHOR_FOLDER"):
        require_folder(file)


@pytest.mark.verifies("REQ-DEP-006")
def test_a_folder_below_a_file_is_a_setting_that_cannot_be_obeyed(file):
    with pytest.raises(SettingInvalid, match="MEDAI_ANCHOR_FOLDER"):
        require_folder(file / "anchors")


@pytest.mark.verifies("REQ-DEP-006")
def test_a_folder_that_is_not_there_is_made_for_its_owner_alone(tmp_path):
    require_folder(tmp_path / "disk" / "anchors")
    assert (tmp_path / "disk" / "anchors").stat().st_mode & 0o777 == 0o700
