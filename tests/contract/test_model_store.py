"""The models of this tree and of a hospital's folder: what is loaded, what is refused, and how it says so."""

import re
import shutil
from hashlib import sha256

import numpy as np
import pytest

from service.adapters import model_store
from service.adapters.onnx_model import RuntimeSettings
from service.domain.flow import judge
from service.domain.messages import DecodedImage
from service.errors import ModelRejected, ModelUnknown, RequestInvalid

pytestmark = pytest.mark.anyio

NAME, VERSION = "ct-lesion-demo", "1.0.0"
SETTINGS = RuntimeSettings()


@pytest.fixture(scope="module")
def bundled():
    store = model_store.load([model_store.BUNDLED], SETTINGS)
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path):
    """A hospital's folder with one model in it."""
    _copy(tmp_path, VERSION)
    return tmp_path


def _copy(folder, version):
    """The bundled model under another version."""
    target = folder / NAME / version
    kept = shutil.ignore_patterns("training", "samples")
    shutil.copytree(model_store.BUNDLED / NAME / VERSION, target, ignore=kept)
    _edit(target / "card.toml", f'version = "{VERSION}"', f'version = "{version}"')


def _edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def _set(path, member, value):
    text = path.read_text("utf-8")
    changed, count = re.subn(rf"(?m)^{member} = .*$", f"{member} = {value}", text, count=1)
    assert count == 1
    path.write_text(changed, "utf-8")


def _load(*folders):
    """The store, its threads ended: what it loaded can still be asked for."""
    store = model_store.load(folders, SETTINGS)
    store.close()
    return store


def _refusal(folder):
    with pytest.raises(ModelRejected) as refused:
        _load(folder)
    return str(refused.value)


class TestTheBundledModel:
    async def test_it_passes_its_golden_vectors(self, bundled):
        assert bundled.verify() is None

    async def test_it_says_that_it_is_not_for_clinical_use(self, bundled):
        card = bundled.find(None).card
        assert "not for clinical use" in card.notice.lower()
        assert "not for clinical use" in card.intended_use.lower()

    async def test_every_figure_of_its_card_says_what_it_was_measured_on(self, bundled):
        metrics = bundled.find(None).card.metrics
        assert metrics
        assert all("synthetic test slices" in metric.data for metric in metrics)

    async def test_it_gives_the_same_answer_bit_for_bit_each_time(self, bundled):
        batch = np.random.default_rng(0).standard_normal((1, 1, 256, 256), dtype=np.float32)
        model = bundled.find(None)
        once, again = await model.compute(lambda run: run(batch)), await model.compute(lambda run: run(batch))
        assert once.tobytes() == again.tobytes()

    async def test_it_never_finds_anything_in_nan(self, bundled):
        model = bundled.find(None)
        output = await model.compute(lambda run: run(np.full((1, 1, 256, 256), np.nan, np.float32)))
        assert not np.isfinite(output).any()

    async def test_it_abstains_on_a_blank_slice(self, bundled):
        picture = DecodedImage(
            media_type="application/dicom", modality="CT", photometric="MONOCHROME2", bits_stored=12,
            stored=np.zeros((256, 256), np.uint16), pixels_sha256="", rescale_intercept=-1024.0, units_known=True,
        )  # fmt: skip
        model = bundled.find(None)
        judgement = await model.compute(lambda run: judge(picture, model.card, run))
        assert judgement.finding.reasons == ("blank_image", "clipped_image")

    async def test_its_runtime_is_named_in_full(self, bundled):
        runtime = bundled.find(None).runtime
        assert (runtime.name, runtime.provider, runtime.optimization) == ("onnxruntime", "CPUExecutionProvider", "all")


class TestFinding:
    @pytest.mark.verifies("REQ-INF-020")
    def test_a_name_alone_is_its_newest_version_by_number(self, folder):
        _copy(folder, "1.10.0")
        _copy(folder, "1.9.0")
        assert _load(folder).find(NAME).card.version == "1.10.0"

    @pytest.mark.verifies("REQ-INF-020")
    def test_a_version_is_that_version(self, folder):
        _copy(folder, "1.10.0")
        assert _load(folder).find(f"{NAME}@{VERSION}").card.version == VERSION

    @pytest.mark.verifies("REQ-INF-020")
    @pytest.mark.parametrize("wanted", ["other", f"{NAME}@9.9", "other@1.0.0"])
    def test_what_is_not_loaded_is_unknown(self, folder, wanted):
        with pytest.raises(ModelUnknown):
            _load(folder).find(wanted)

    def test_the_only_name_need_not_be_given(self, folder):
        assert _load(folder).find(None).card.name == NAME

    @pytest.mark.verifies("REQ-INF-020")
    def test_among_several_names_one_must_be_given(self, folder):
        _add_other(folder)
        with pytest.raises(RequestInvalid):
            _load(folder).find(None)

    def test_all_lists_by_name_and_newest_first(self, folder):
        _copy(folder, "1.10.0")
        _add_other(folder)
        listed = [f"{model.card.name}@{model.card.version}" for model in _load(folder).all()]
        assert listed == [f"{NAME}@1.10.0", f"{NAME}@{VERSION}", f"other@{VERSION}"]


def _add_other(folder):
    shutil.copytree(folder / NAME / VERSION, folder / "other" / VERSION)
    _set(folder / "other" / VERSION / "card.toml", "name", '"other"')


class TestRefusing:
    @pytest.fixture
    def model(self, folder):
        return folder / NAME / VERSION

    @pytest.mark.verifies("REQ-INF-015")
    def test_one_changed_bit_of_the_weights(self, folder, model):
        body = bytearray((model / "model.onnx").read_bytes())
        body[len(body) // 2] ^= 1
        (model / "model.onnx").write_bytes(body)
        assert sha256(body).hexdigest() in _refusal(folder)

    def test_weights_cut_short_under_a_digest_made_to_fit(self, folder, model):
        body = (model / "model.onnx").read_bytes()[:-100]
        (model / "model.onnx").write_bytes(body)
        _set(model / "card.toml", "sha256", f'"{sha256(body).hexdigest()}"')
        assert "not an ONNX file, or cut short" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-017")
    def test_a_member_that_no_card_has(self, folder, model):
        _edit(model / "card.toml", "[input]\n", '[input]\ncolour = "grey"\n')
        assert "`colour`" in _refusal(folder)
        assert "$.input" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-017")
    @pytest.mark.parametrize(
        ("member", "value", "where"),
        [
            ("rows", "0", "$.input.rows"),
            ("std", "0.0", "$.input.std"),
            ("temperature", "-1.0", "$.output.temperature"),
            ("version", '"latest"', "$.version"),
            ("format", '"medai.card/2"', "$.format"),
            ("min_contrast_ppm", "1000001", "$.quality.min_contrast_ppm"),
            ("bias", "nan", "output.bias"),
            ("threshold_ppm", "1000000", "output.threshold_ppm"),
            ("width", "0.5", "input.window.width"),
        ],
    )
    def test_a_cards_wrong_member_by_its_name(self, folder, model, member, value, where):
        _set(model / "card.toml", member, value)
        assert where in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-017")
    def test_a_card_that_is_no_toml(self, folder, model):
        (model / "card.toml").write_bytes(b"\xff")
        assert "card.toml" in _refusal(folder)

    @pytest.mark.parametrize("file", ["model.onnx", "golden/golden.toml", "golden/positive.npy"])
    def test_a_missing_file_by_its_name(self, folder, model, file):
        (model / file).unlink()
        assert file.rpartition("/")[2] in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-017")
    def test_a_folder_whose_name_is_not_the_cards(self, folder, model):
        model.rename(model.parent / "2.0.0")
        assert "NAME/VERSION" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-016")
    def test_another_calibration_than_the_golden_vectors_were_made_with(self, folder, model):
        _set(model / "card.toml", "bias", "3.0")
        assert "golden vector" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-016")
    def test_another_window_than_the_golden_vectors_were_made_with(self, folder, model):
        _set(model / "card.toml", "center", "140.0")
        assert "golden vector" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-016")
    def test_a_golden_decision_that_differs(self, folder, model):
        _edit(model / "golden" / "golden.toml", 'decision = "positive"', 'decision = "negative"')
        assert "decision" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-016")
    def test_a_golden_logit_that_differs(self, folder, model):
        _set(model / "golden" / "golden.toml", "logit", "0.0")
        assert "logit" in _refusal(folder)

    def test_a_golden_input_that_was_changed(self, folder, model):
        path = model / "golden" / "positive.npy"
        body = path.read_bytes()
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        assert "SHA-256" in _refusal(folder)

    def test_a_golden_input_that_needs_pickle(self, folder, model):
        path = model / "golden" / "positive.npy"
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
        _edit(model / "golden" / "golden.toml", _first_digest(model), sha256(path.read_bytes()).hexdigest())
        assert "golden.toml" in _refusal(folder)

    def test_no_golden_vector_at_all(self, folder, model):
        (model / "golden" / "golden.toml").write_text('format = "medai.golden/1"\nvectors = []\n', "utf-8")
        assert "$.vectors" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-019")
    def test_an_input_of_another_name(self, folder, model):
        _set(model / "card.toml", "tensor", '"pixels"')
        assert "pixels" in _refusal(folder)

    @pytest.mark.verifies("REQ-INF-019")
    def test_an_input_of_another_size(self, folder, model):
        _set(model / "card.toml", "rows", "128")
        assert "its input is" in _refusal(folder)

    def test_the_same_version_twice(self, folder, tmp_path_factory):
        second = tmp_path_factory.mktemp("second")
        _copy(second, VERSION)
        with pytest.raises(ModelRejected, match="twice"):
            _load(folder, second)

    def test_a_folder_that_is_not_there(self, tmp_path):
        assert "no folder" in _refusal(tmp_path / "absent")

    def test_a_folder_without_a_model(self, tmp_path):
        assert "NAME/VERSION" in _refusal(tmp_path)

    def test_no_folder_at_all(self):
        with pytest.raises(ModelRejected):
            _load()


def _first_digest(model):
    return re.findall(r'(?m)^sha256 = "(.*)"', (model / "golden" / "golden.toml").read_text("utf-8"))[0]


class TestInspecting:
    def test_a_model_that_may_serve_is_not_rejected(self, folder):
        found = model_store.inspect([folder], SETTINGS)
        assert [(each.name, each.version, each.rejected) for each in found] == [(NAME, VERSION, None)]

    def test_a_rejected_model_does_not_hide_the_others(self, folder):
        _add_other(folder)
        _set(folder / NAME / VERSION / "card.toml", "bias", "3.0")
        found = model_store.inspect([folder], SETTINGS)
        assert [(each.name, each.rejected is None) for each in found] == [(NAME, False), ("other", True)]

    def test_loaded_models_are_described_by_their_cards(self, bundled):
        described = model_store.describe(bundled.all())
        assert [(each.name, each.sha256) for each in described] == [(NAME, bundled.find(None).card.sha256)]
